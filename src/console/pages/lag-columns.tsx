// Groups as a table: their states, members and lags.
import type { GroupSummary } from "../../core/metrics/group-summaries.ts";
import { numberText } from "../format.ts";
import { ageText } from "../lag.ts";
import { paths } from "../router.ts";
import type { Column } from "../ui/table.tsx";

export const LAG_COLUMNS: readonly Column<GroupSummary>[] = [
  {
    title: "Group",
    cell: ({ groupId }) => (
      <a class="data" href={paths.group(groupId)}>
        {groupId}
      </a>
    ),
  },
  { title: "State", cell: ({ state }) => state },
  { title: "Members", isNumber: true, cell: ({ members }) => numberText(members) },
  {
    title: "Lag in records",
    isNumber: true,
    cell: ({ lag }) => (lag === null ? <em>not known</em> : numberText(lag)),
  },
  {
    title: "Oldest unread",
    isNumber: true,
    cell: ({ lag, oldestUnreadMs }) => ageText(lag === 0 ? null : oldestUnreadMs),
  },
];
