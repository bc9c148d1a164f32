// All groups by lag, as last reported. It wakes nothing.
import { useState } from "preact/hooks";
import type { GroupOrder, GroupSummary } from "../../core/metrics/group-summaries.ts";
import { GROUP_LAGS_PATH } from "../../protocol/paths.ts";
import { get } from "../api.ts";
import { countText, numberText } from "../format.ts";
import { PAGE_ROWS } from "../list-query.ts";
import { useLoad } from "../load.ts";
import { Choice } from "../ui/form.tsx";
import { Empty, Loaded } from "../ui/states.tsx";
import { type Column, Table } from "../ui/table.tsx";
import { Time } from "../ui/time.tsx";
import { GroupTabs } from "./groups.tsx";
import { LAG_COLUMNS } from "./lag-columns.tsx";

const ORDERS: readonly (readonly [GroupOrder, string])[] = [
  ["age", "oldest unread record"],
  ["lag", "lag in records"],
  ["name", "name"],
];

/** Both kinds of groups, by KIP-848's names and by Kafka's older ones. */
const STATES = [
  ["", "any"],
  ["Stable", "stable"],
  ["Empty", "empty"],
  ["Assigning", "assigning"],
  ["Reconciling", "reconciling"],
] as const;

const COLUMNS: readonly Column<GroupSummary>[] = [
  ...LAG_COLUMNS,
  { title: "Topics", isNumber: true, cell: ({ topics }) => numberText(topics.length) },
  { title: "Reported", cell: ({ toldAtMs }) => <Time ms={toldAtMs} /> },
];

export function LagsPage() {
  const [order, setOrder] = useState<GroupOrder>("age");
  const [state, setState] = useState<(typeof STATES)[number][0]>("");
  const loading = useLoad(
    (aborted) => {
      const query = new URLSearchParams({ order, limit: String(PAGE_ROWS) });
      if (state !== "") query.set("state", state);
      return get<{ groups: readonly GroupSummary[] }>(`${GROUP_LAGS_PATH}?${query}`, aborted);
    },
    [order, state],
  );
  return (
    <>
      <h1>Groups</h1>
      <GroupTabs isByLag />
      <div class="row top">
        <Choice label="Order" value={order} options={ORDERS} onChoose={setOrder} />
        <Choice label="State" value={state} options={STATES} onChoose={setState} />
      </div>
      <p class="muted">
        As groups and partitions last reported: once a minute while they are busy, and when they
        come to rest. This page wakes nothing.{" "}
        <button type="button" onClick={loading.reload}>
          Reload
        </button>
      </p>
      <Loaded what="the groups" loading={loading}>
        {({ groups }) =>
          groups.length === 0 ? (
            <Empty>No group has reported, or none in this state that you may describe.</Empty>
          ) : (
            <>
              <Table
                caption={`Groups, the first ${countText(groups.length, "group")} in this order`}
                isCaptionHidden
                columns={COLUMNS}
                rows={groups}
                keyOf={({ groupId }) => groupId}
              />
              {groups.length === PAGE_ROWS && (
                <p class="muted">The first {numberText(PAGE_ROWS)} are shown.</p>
              )}
            </>
          )
        }
      </Loaded>
    </>
  );
}
