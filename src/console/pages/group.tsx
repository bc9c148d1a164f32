// A group: its assignment, and its tabs.
import { useEffect, useState } from "preact/hooks";
import type { GroupInfo } from "../../core/group-info.ts";
import type { LagPoint } from "../../core/metrics/lag-trends.ts";
import { announceChange } from "../announce.ts";
import { countText, numberText } from "../format.ts";
import { type Flows, flowsOf, joinTrend, NO_FLOWS, pointOf, withPoint } from "../group-flow.ts";
import { ageText, lagOf } from "../lag.ts";
import { watchGroup } from "../live.ts";
import { GROUP_TABS, type GroupTab, paths } from "../router.ts";
import { isOffered } from "../session.ts";
import { later } from "../ui/later.tsx";
import { Star } from "../ui/star.tsx";
import { Busy, ErrorNote } from "../ui/states.tsx";
import { Tabs } from "../ui/tabs.tsx";
import { Time } from "../ui/time.tsx";
import { Trend } from "../ui/trend.tsx";
import { GroupAssignment } from "./group-assignment.tsx";
import { GroupHistory } from "./group-history.tsx";

const GroupConfig = later(
  "the config",
  async () => (await import("./group-config.tsx")).GroupConfig,
);
const GroupOffsets = later(
  "the offsets",
  async () => (await import("./group-offsets.tsx")).GroupOffsets,
);

const OwnCosts = later("the costs", async () => (await import("./own-costs.tsx")).OwnCosts);

const TITLES: Readonly<Record<GroupTab, string>> = {
  assignment: "Assignment",
  offsets: "Offsets",
  history: "History",
  config: "Config",
  costs: "Costs",
};

/** The time for which a partition is drawn as flowing after its offset has moved. */
const FLOWS_FOR_MS = 3_000;

export function GroupPage({ groupId, tab }: { groupId: string; tab: GroupTab }) {
  const { group, atMs, error, told, seen, flows, isPaused, setPaused } = useGroup(groupId);
  const tabs = GROUP_TABS.filter(
    (each) =>
      (each !== "config" || isOffered("DESCRIBE_CONFIGS", "group", groupId)) &&
      (each !== "costs" || isOffered("DESCRIBE", "cluster")),
  );
  return (
    <>
      <p class="crumbs">
        <a href={paths.groups()}>Groups</a>
      </p>
      <div class="row">
        <h1 class="data">{groupId}</h1>
        <Star kind="group" name={groupId} />
      </div>
      <Tabs
        label="Parts of the group"
        tabs={tabs.map((each) => ({
          title: TITLES[each],
          href: paths.group(groupId, each),
          isCurrent: each === tab,
        }))}
      />
      {group === null && error === undefined && <Busy what="the group" />}
      {error !== undefined && <ErrorNote error={error} />}
      {group !== null && (
        <>
          <Summary group={group} />
          <Trend points={joinTrend(told, seen)} />
          <div class="row muted">
            <button type="button" aria-pressed={isPaused} onClick={() => setPaused(!isPaused)}>
              {isPaused ? "Resume" : "Pause"}
            </button>
            <span>
              As of <Time ms={atMs} />. {isPaused ? "Paused." : "It updates automatically."}
            </span>
          </div>
          {tab === "assignment" && <GroupAssignment group={group} flows={flows} />}
          {tab === "offsets" && <GroupOffsets group={group} />}
          {tab === "history" && <GroupHistory groupId={groupId} epoch={group.epoch} />}
          {tab === "config" && <GroupConfig group={group} />}
          {tab === "costs" && <OwnCosts kind="group" name={groupId} />}
        </>
      )}
    </>
  );
}

/**
 * The known state of the group. It stays when an update fails, and so does everything that the user has begun
 * on the page.
 */
interface Known {
  readonly group: GroupInfo | null;
  readonly atMs: number;
  readonly error: unknown;
  /** The lag over the last day as reported, and as seen since the page was opened. */
  readonly told: readonly LagPoint[];
  readonly seen: readonly LagPoint[];
  readonly flows: Flows;
}

const NOTHING: Known = {
  ...{ group: null, atMs: 0, error: undefined },
  ...{ told: [], seen: [], flows: NO_FLOWS },
};

/** Watches the group unless the user has paused that. The page of another group starts anew. */
function useGroup(groupId: string) {
  const [known, setKnown] = useState(NOTHING);
  const [isPaused, setPaused] = useState(false);
  useEffect(() => {
    if (isPaused) return;
    // A partition that has not moved for a while no longer flows. While paused, nothing moves at all.
    const still = () => setKnown((before) => ({ ...before, flows: NO_FLOWS }));
    let timer: ReturnType<typeof setTimeout> | undefined;
    const stop = watchGroup(groupId, ({ group, trend, error, atMs }) => {
      setKnown((before) => {
        if (group === undefined) return { ...before, error };
        const point = pointOf(group, atMs);
        const seen = point === null ? before.seen : withPoint(before.seen, point);
        const flows =
          before.group === null ? NO_FLOWS : flowsOf(before.group, group, atMs - before.atMs);
        const shown = flows.size > 0 ? flows : before.flows;
        return { group, atMs, error: undefined, told: trend ?? [], seen, flows: shown };
      });
      if (group === undefined) return;
      announceChange(sentenceOf(group));
      clearTimeout(timer);
      timer = setTimeout(still, FLOWS_FOR_MS);
    });
    return () => {
      stop();
      clearTimeout(timer);
      still();
    };
  }, [groupId, isPaused]);
  return { ...known, isPaused, setPaused };
}

function sentenceOf(group: GroupInfo): string {
  const { records } = lagOf(group.offsets);
  const lag = records === null ? "nothing committed" : `lag ${countText(records, "record")}`;
  return `${group.groupId}: ${group.state.toLowerCase()}, ${countText(group.members.length, "member")}, ${lag}.`;
}

const STATES: Readonly<Record<GroupInfo["state"], string>> = {
  EMPTY: "no members",
  ASSIGNING: "a new target assignment is being computed",
  RECONCILING: "members are moving to the target assignment",
  STABLE: "every member has its target assignment",
  DEAD: "there is no such group",
};

function Summary({ group }: { group: GroupInfo }) {
  const { records, oldestMs, uncommitted } = lagOf(group.offsets);
  return (
    <dl class="facts">
      <div>
        <dt>State</dt>
        <dd>
          <strong>{group.state}</strong> <span class="muted">{STATES[group.state]}</span>
        </dd>
      </div>
      <div>
        <dt>Lag</dt>
        <dd>
          <strong>{records === null ? "none committed" : countText(records, "record")}</strong>
        </dd>
      </div>
      <div>
        <dt>Oldest unread record</dt>
        <dd>
          <strong>{oldestMs === null ? "–" : `${ageText(oldestMs)} old`}</strong>
        </dd>
      </div>
      {uncommitted > 0 && (
        <div>
          <dt>Without a committed offset</dt>
          <dd>{countText(uncommitted, "partition")}</dd>
        </div>
      )}
      <div>
        <dt>Epoch</dt>
        <dd>{numberText(group.epoch)}</dd>
      </div>
      <div>
        <dt>Assignor</dt>
        <dd class="data">{group.assignor}</dd>
      </div>
    </dl>
  );
}
