// The groups that read a topic, as reported. A group that has slept since before there were metrics has not
// reported. It is found by a search through all groups, on request.
import { useEffect, useRef, useState } from "preact/hooks";
import type { GroupSummary } from "../../core/metrics/group-summaries.ts";
import type { TopicInfo } from "../../core/topic-info.ts";
import { GROUP_LAGS_PATH, GROUPS_PATH, groupPath } from "../../protocol/paths.ts";
import { announce } from "../announce.ts";
import { get } from "../api.ts";
import { countText, numberText } from "../format.ts";
import { eachOf } from "../group-summaries.ts";
import { PAGE_ROWS } from "../list-query.ts";
import { useLoad } from "../load.ts";
import { paths } from "../router.ts";
import { Empty, ErrorNote, Loaded } from "../ui/states.tsx";
import { type Column, Table } from "../ui/table.tsx";
import { LAG_COLUMNS } from "./lag-columns.tsx";

interface Reader {
  readonly groupId: string;
  readonly partitions: number;
}

interface Found {
  readonly readers: readonly Reader[];
  readonly looked: number;
  readonly isDone: boolean;
}

interface Committed {
  readonly offsets: readonly { readonly topic: string }[];
}

const AT_ONCE = 6;

const COLUMNS: readonly Column<Reader>[] = [
  {
    title: "Group",
    cell: ({ groupId }) => (
      <a class="data" href={paths.group(groupId)}>
        {groupId}
      </a>
    ),
  },
  {
    title: "Partitions with a committed offset",
    isNumber: true,
    cell: ({ partitions }) => numberText(partitions),
  },
];

/** The groups that are known without asking them. */
function KnownGroups({ topic }: { topic: TopicInfo }) {
  const query = new URLSearchParams({ topic: topic.name, order: "lag" });
  const loading = useLoad(
    (aborted) => get<{ groups: readonly GroupSummary[] }>(`${GROUP_LAGS_PATH}?${query}`, aborted),
    [topic.name],
  );
  return (
    <Loaded what="the groups" loading={loading}>
      {({ groups }) =>
        groups.length === 0 ? (
          <Empty>No group that you may describe has reported a committed offset here.</Empty>
        ) : (
          <Table
            caption="Groups, with their lags in all their topics"
            columns={LAG_COLUMNS}
            rows={groups}
            keyOf={({ groupId }) => groupId}
          />
        )
      }
    </Loaded>
  );
}

export function TopicGroups({ topic }: { topic: TopicInfo }) {
  const [found, setFound] = useState<Found | null>(null);
  const [error, setError] = useState<unknown>();
  const [isLooking, setLooking] = useState(false);
  const controller = useRef<AbortController | null>(null);
  useEffect(() => () => controller.current?.abort(), []);
  const look = async () => {
    const own = new AbortController();
    controller.current = own;
    setError(undefined);
    setFound({ readers: [], looked: 0, isDone: false });
    setLooking(true);
    try {
      const readers = await lookThrough(topic.name, own.signal, setFound);
      announce(`${countText(readers, "group")} found.`);
    } catch (thrown) {
      if (!own.signal.aborted) setError(thrown);
    }
    setLooking(false);
  };
  return (
    <>
      <h2>Groups with a committed offset in this topic</h2>
      <KnownGroups topic={topic} />
      <h2>Groups without a recent report</h2>
      {!isLooking && (
        <p>
          <button type="button" onClick={() => void look()}>
            {found === null ? "Search all groups" : "Search again"}
          </button>{" "}
          <span class="muted">This wakes each group, but no partition.</span>
        </p>
      )}
      {error !== undefined && <ErrorNote error={error} />}
      {found !== null && (
        <p class="row">
          <span>
            {countText(found.looked, "group")} searched
            {found.isDone ? ": all." : isLooking ? "…" : "."}
          </span>
          {isLooking && (
            <button type="button" onClick={() => controller.current?.abort()}>
              Stop
            </button>
          )}
        </p>
      )}
      {found !== null && found.readers.length > 0 && (
        <Table
          caption="Groups that read the topic"
          isCaptionHidden
          columns={COLUMNS}
          rows={found.readers}
          keyOf={({ groupId }) => groupId}
        />
      )}
      {found?.isDone && found.readers.length === 0 && (
        <Empty>No group that you may describe has committed here.</Empty>
      )}
    </>
  );
}

/**
 * Asks every group for its committed offsets, page by page, and returns the number of groups that read the
 * topic.
 * @throws the signal's reason
 */
async function lookThrough(
  topic: string,
  aborted: AbortSignal,
  onFound: (found: Found) => void,
): Promise<number> {
  const readers: Reader[] = [];
  let looked = 0;
  for (let after: string | undefined = ""; after !== undefined; ) {
    const query: URLSearchParams = new URLSearchParams({ limit: String(PAGE_ROWS), after });
    const { groups, next }: { groups: { groupId: string }[]; next?: string } = await get(
      `${GROUPS_PATH}?${query}`,
      aborted,
    );
    await eachOf(groups, AT_ONCE, async ({ groupId }) => {
      const { offsets } = await get<Committed>(`${groupPath(groupId)}/offsets`, aborted).catch(
        (): Committed => ({ offsets: [] }), // It is gone by now.
      );
      aborted.throwIfAborted();
      const partitions = offsets.filter((each) => each.topic === topic).length;
      looked++;
      if (partitions > 0) readers.push({ groupId, partitions });
      onFound({ readers: [...readers], looked, isDone: false });
    });
    after = next;
  }
  onFound({ readers: [...readers], looked, isDone: true });
  return readers.length;
}
