// The owners of a group's partitions, as a picture and as tables.
import type { GroupInfo, MemberInfo } from "../../core/group-info.ts";
import { type Cell, fileName } from "../csv.ts";
import { numberText } from "../format.ts";
import type { Flows } from "../group-flow.ts";
import { countOf, type PartitionNode, partitionsOf } from "../group-picture.ts";
import { assignmentText, calledOf } from "../history-text.ts";
import { ageText } from "../lag.ts";
import { paths } from "../router.ts";
import { CsvButton } from "../ui/download-button.tsx";
import { GroupDrawing } from "../ui/group-drawing.tsx";
import { Empty } from "../ui/states.tsx";
import { type Column, Table } from "../ui/table.tsx";

type Row = Omit<PartitionNode, "y">;

const PARTITION_COLUMNS: readonly Column<Row>[] = [
  {
    title: "Partition",
    cell: ({ topic, partition }) => (
      <a class="data" href={paths.topic(topic, "partitions")}>
        {topic} {partition}
      </a>
    ),
  },
  {
    title: "Owner",
    cell: ({ owner, holder, next }) => (
      <>
        {holder !== null ? (
          <>
            <span class="data">{calledOf(holder)}</span> is giving it up
          </>
        ) : owner === null ? (
          <em>no owner</em>
        ) : (
          <span class="data">{calledOf(owner)}</span>
        )}
        {next !== null && (
          <>
            {" → "}
            <span class="data">{calledOf(next)}</span> next
          </>
        )}
      </>
    ),
  },
  {
    title: "Committed",
    isNumber: true,
    cell: ({ offset }) =>
      offset === null ? (
        "?"
      ) : offset.committedOffset === null ? (
        <em>none committed</em>
      ) : (
        numberText(offset.committedOffset)
      ),
  },
  {
    title: "Log end",
    isNumber: true,
    cell: ({ offset }) => (offset === null ? "?" : numberText(offset.logEndOffset)),
  },
  {
    title: "Lag",
    isNumber: true,
    cell: ({ offset }) =>
      offset === null ? (
        "?"
      ) : offset.lag === null ? (
        <em>none committed</em>
      ) : (
        numberText(offset.lag)
      ),
  },
  {
    title: "Oldest unread",
    isNumber: true,
    cell: ({ offset }) => (offset === null ? "?" : ageText(offset.oldestUnreadMs)),
  },
];

const LAG_HEAD = [
  "topic",
  "partition",
  "owner",
  "committed offset",
  "log end",
  "lag",
  "oldest unread ms",
] as const;

/** The cells of a partition. Unknown and uncommitted values are empty. */
function lagCells({ topic, partition, owner, holder, offset }: Row): Cell[] {
  const member = owner ?? holder;
  return [
    topic,
    partition,
    member === null ? null : calledOf(member),
    offset?.committedOffset ?? null,
    offset?.logEndOffset ?? null,
    offset?.lag ?? null,
    offset?.oldestUnreadMs ?? null,
  ];
}

const MEMBER_COLUMNS: readonly Column<MemberInfo>[] = [
  { title: "Member", cell: ({ memberId }) => <span class="data">{memberId}</span> },
  { title: "Instance", cell: ({ instanceId }) => <span class="data">{instanceId ?? "–"}</span> },
  { title: "Client", cell: ({ clientId }) => <span class="data">{clientId ?? "–"}</span> },
  {
    title: "Connected",
    cell: ({ connected }) =>
      connected ? "yes" : <strong class="danger-text">no, its session timeout is running</strong>,
  },
  { title: "State", cell: ({ state }) => state },
  { title: "Epoch", isNumber: true, cell: ({ memberEpoch }) => numberText(memberEpoch) },
  {
    title: "Assigned",
    cell: ({ assignment }) => <Assignment assignment={assignment} />,
  },
  {
    title: "Target",
    cell: ({ assignment, target }) =>
      JSON.stringify(assignment) === JSON.stringify(target) ? (
        "the same"
      ) : (
        <Assignment assignment={target} />
      ),
  },
];

function Assignment({ assignment }: { assignment: MemberInfo["assignment"] }) {
  if (countOf(assignment) === 0) return <em>none</em>;
  return (
    <ul class="plain data">
      {assignment.map((each) => (
        <li key={each.topic}>{assignmentText(each)}</li>
      ))}
    </ul>
  );
}

export function GroupAssignment({ group, flows }: { group: GroupInfo; flows: Flows }) {
  const rows = partitionsOf(group);
  const moves = rows.filter(({ next }) => next !== null);
  return (
    <>
      {rows.length === 0 && group.members.length === 0 ? (
        <Empty>The group has neither members nor committed offsets.</Empty>
      ) : (
        <GroupDrawing group={group} flows={flows} />
      )}
      {moves.length > 0 && <Moves moves={moves} />}
      {group.unreadable?.map(({ topic, partition, code, detail }) => (
        <p key={`${topic}/${partition}`} class="note danger">
          <strong>
            <span class="data">{topic}</span> {partition} cannot be read: {code}.
          </strong>{" "}
          <span class="data">{detail}</span>
        </p>
      ))}
      <h2>Partitions</h2>
      {rows.length === 0 ? (
        <Empty>The group has no partitions.</Empty>
      ) : (
        <>
          <CsvButton
            name={fileName([group.groupId, "lag"], "csv")}
            head={LAG_HEAD}
            rows={() => rows.map(lagCells)}
          />
          <Table
            caption="Partitions of the group, with lag"
            isCaptionHidden
            columns={PARTITION_COLUMNS}
            rows={rows}
            keyOf={({ topic, partition }) => `${topic}/${partition}`}
          />
        </>
      )}
      <h2>Members</h2>
      {group.members.length === 0 ? (
        <Empty>The group has no members now.</Empty>
      ) : (
        <Table
          caption="Members of the group"
          isCaptionHidden
          columns={MEMBER_COLUMNS}
          rows={group.members}
          keyOf={({ memberId }) => memberId}
        />
      )}
    </>
  );
}

/** The most moves that are listed one by one. The picture and the table show all. */
const MAX_MOVES = 10;

function Moves({ moves }: { moves: readonly Row[] }) {
  return (
    <section aria-labelledby="moves">
      <h2 id="moves">Moving partitions</h2>
      <ul>
        {moves.slice(0, MAX_MOVES).map(({ topic, partition, owner, holder, next }) => {
          const before = owner ?? holder;
          return (
            <li key={`${topic}/${partition}`}>
              <span class="data">
                {topic} {partition}
              </span>{" "}
              goes to <span class="data">{next === null ? "" : calledOf(next)}</span>
              {before === null ? (
                " with its next heartbeat."
              ) : (
                <>
                  {" "}
                  once <span class="data">{calledOf(before)}</span> has given it up.
                </>
              )}
            </li>
          );
        })}
        {moves.length > MAX_MOVES && <li>{numberText(moves.length - MAX_MOVES)} more.</li>}
      </ul>
    </section>
  );
}
