// The list of groups, in pages of a hundred. Their states and lags cost a question per group, so they are
// loaded only on request or for a short list.
import { useEffect, useState } from "preact/hooks";
import { GROUPS_PATH } from "../../protocol/paths.ts";
import { get } from "../api.ts";
import type { Cell } from "../csv.ts";
import { countText, numberText } from "../format.ts";
import { type GroupSummary, summariesOf } from "../group-summaries.ts";
import { ageText } from "../lag.ts";
import { listQuery, withPrefix } from "../list-query.ts";
import { useLoad } from "../load.ts";
import { paths } from "../router.ts";
import { CsvButton } from "../ui/download-button.tsx";
import { Pager, PrefixFilter } from "../ui/list-page.tsx";
import { Favorites, StarredLink } from "../ui/star.tsx";
import { Empty, Loaded } from "../ui/states.tsx";
import { type Column, Table } from "../ui/table.tsx";
import { Tabs } from "../ui/tabs.tsx";

interface Page {
  readonly groups: readonly { readonly groupId: string }[];
  readonly next?: string;
}

/** The states of a list up to this length are loaded at once. */
const FEW = 20;

type Answers = ReadonlyMap<string, GroupSummary | Error>;

export function GroupsPage({ prefix, after }: { prefix: string; after: string }) {
  const loading = useLoad(
    (aborted) => get<Page>(`${GROUPS_PATH}?${listQuery(prefix, after)}`, aborted),
    [prefix, after],
  );
  return (
    <>
      <h1>Groups</h1>
      <GroupTabs isByLag={false} />
      <Favorites kind="group" prefix={prefix} />
      <PrefixFilter key={prefix} prefix={prefix} pathOf={paths.groups} />
      <Loaded what="the groups" loading={loading}>
        {({ groups, next }) => {
          const page = withPrefix(groups, next, prefix, ({ groupId }) => groupId);
          const names = page.items.map(({ groupId }) => groupId);
          return names.length === 0 ? (
            <Empty>
              {prefix === ""
                ? "There are no groups, or none that you may describe. A group is created by its first member."
                : "No group name begins with this."}
            </Empty>
          ) : (
            <>
              <GroupTable key={names.join("\n")} names={names} />
              <Pager
                what="groups"
                isFirst={after === ""}
                first={paths.groups({ prefix })}
                next={
                  page.next === undefined ? undefined : paths.groups({ prefix, after: page.next })
                }
              />
            </>
          );
        }}
      </Loaded>
    </>
  );
}

/** The two lists of groups. */
export function GroupTabs({ isByLag }: { isByLag: boolean }) {
  return (
    <Tabs
      label="Lists of groups"
      tabs={[
        { title: "By name", href: paths.groups(), isCurrent: !isByLag },
        { title: "By lag", href: paths.lags, isCurrent: isByLag },
      ]}
    />
  );
}

type Order = "name" | "lag" | "age";

function GroupTable({ names }: { names: readonly string[] }) {
  const [isAsked, setAsked] = useState(names.length <= FEW);
  const [order, setOrder] = useState<Order>("name");
  const [answers, setAnswers] = useState<Answers>(new Map());
  useEffect(() => {
    if (!isAsked) return;
    const controller = new AbortController();
    const note = (groupId: string, answer: GroupSummary | Error) =>
      setAnswers((before) => new Map(before).set(groupId, answer));
    summariesOf(names, controller.signal, note).catch(() => {}); // It was cancelled.
    return () => controller.abort();
  }, [names.join("\n"), isAsked]);
  const rows = ordered(names, answers, order);
  return (
    <>
      <div class="row">
        {isAsked ? (
          <>
            <span>
              {answers.size < names.length
                ? `Asked ${numberText(answers.size)} of ${countText(names.length, "group")}…`
                : countText(names.length, "group")}
            </span>
            <label for="order">in order of</label>
            <select
              id="order"
              value={order}
              onChange={(event) => setOrder(event.currentTarget.value as Order)}
            >
              <option value="name">name</option>
              <option value="lag">lag in records</option>
              <option value="age">age of the oldest unread record</option>
            </select>
            <CsvButton
              name="groups-lag.csv"
              head={["group", "state", "members", "lag", "oldest unread ms"]}
              rows={() => rows.map((name) => cellsOf(name, answers.get(name)))}
            />
          </>
        ) : (
          <>
            <span>{countText(names.length, "group")}.</span>
            <button type="button" onClick={() => setAsked(true)}>
              Show states and lags
            </button>
            <span class="muted">This asks each group, and each partition that it reads.</span>
          </>
        )}
      </div>
      <Table
        caption="Groups"
        isCaptionHidden
        columns={isAsked ? columnsWith(answers) : NAME_COLUMNS}
        rows={rows}
        keyOf={(name) => name}
      />
    </>
  );
}

/** Returns the names in an order: the largest values first, and groups without a value last. */
function ordered(names: readonly string[], answers: Answers, order: Order): readonly string[] {
  if (order === "name") return names;
  const rankOf = (name: string) => {
    const answer = answers.get(name);
    if (answer === undefined || answer instanceof Error) return -2;
    return (order === "lag" ? answer.lag.records : answer.lag.oldestMs) ?? -1;
  };
  return names.toSorted((a, b) => rankOf(b) - rankOf(a));
}

/** The cells of a group. Unknown and uncommitted values are empty. */
function cellsOf(name: string, answer: GroupSummary | Error | undefined): Cell[] {
  if (answer === undefined || answer instanceof Error)
    return [name, answer?.message ?? null, null, null, null];
  const { state, members, lag } = answer;
  return [name, state, members, lag.records, lag.oldestMs];
}

const NAME_COLUMNS: readonly Column<string>[] = [
  {
    title: "Group",
    cell: (name) => <StarredLink kind="group" name={name} />,
  },
];

function columnsWith(answers: Answers): readonly Column<string>[] {
  const column = (
    title: string,
    show: (summary: GroupSummary) => string | number,
    isNumber = true,
  ): Column<string> => ({
    title,
    isNumber,
    cell: (name) => {
      const answer = answers.get(name);
      if (answer === undefined) return "…";
      return answer instanceof Error ? "?" : show(answer);
    },
  });
  return [
    ...NAME_COLUMNS,
    {
      title: "State",
      cell: (name) => {
        const answer = answers.get(name);
        if (answer === undefined) return "…";
        return answer instanceof Error ? (
          <span class="danger-text">{answer.message}</span>
        ) : (
          answer.state
        );
      },
    },
    column("Members", ({ members }) => numberText(members)),
    column("Lag in records", ({ lag }) =>
      lag.records === null ? "none committed" : numberText(lag.records),
    ),
    column("Oldest unread", ({ lag }) => ageText(lag.oldestMs)),
  ];
}
