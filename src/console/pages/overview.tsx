// Where one begins: what there is, and what was changed lately.
import type { KeptEvent } from "../../core/access/audit.ts";
import { AUDIT_PATH, GROUPS_PATH, TOPICS_PATH } from "../../protocol/paths.ts";
import { get } from "../api.ts";
import { countText } from "../format.ts";
import { PAGE_ROWS } from "../list-query.ts";
import { type Loading, useLoad } from "../load.ts";
import { paths } from "../router.ts";
import { isOffered } from "../session.ts";
import { AuditTable } from "../ui/audit-table.tsx";
import { Empty, Loaded } from "../ui/states.tsx";

/** How many changes are shown. */
const EVENTS = 10;

interface Health {
  readonly status: string;
}

export function OverviewPage() {
  const topics = useLoad((aborted) => countOf(TOPICS_PATH, "topics", aborted), []);
  const groups = useLoad((aborted) => countOf(GROUPS_PATH, "groups", aborted), []);
  const health = useLoad((aborted) => get<Health>("/health", aborted), []);
  return (
    <>
      <h1>Overview</h1>
      <ul class="cards">
        <Card title="Topics" href={paths.topics()} loading={topics} show={(count) => count} />
        <Card title="Groups" href={paths.groups()} loading={groups} show={(count) => count} />
        <Card title="Health" href={paths.health} loading={health} show={({ status }) => status} />
      </ul>
      <p>
        <a href={paths.learn}>Learn consumer groups</a> on this broker, in ten minutes.
      </p>
      {isOffered("DESCRIBE", "cluster") && <Changes />}
    </>
  );
}

/** Returns how many there are, where a page has them all. Nothing counts them, and no list is read whole for it. */
async function countOf(path: string, field: string, aborted: AbortSignal): Promise<string> {
  const page = await get<Record<string, unknown>>(`${path}?limit=${PAGE_ROWS}`, aborted);
  const items = page[field];
  const count = Array.isArray(items) ? items.length : 0;
  return page.next === undefined ? String(count) : `more than ${count}`;
}

function Card<T>(props: {
  title: string;
  href: string;
  loading: Loading<T>;
  show: (data: T) => string;
}) {
  const { title, href, loading, show } = props;
  const { data, error } = loading;
  return (
    <li>
      <h2>
        <a href={href}>{title}</a>
      </h2>
      {error === undefined ? (
        <p class="figure">{data === undefined ? "…" : show(data)}</p>
      ) : (
        <p class="danger-text">{(error as Error).message}</p>
      )}
    </li>
  );
}

function Changes() {
  const loading = useLoad(
    (aborted) => get<{ events: readonly KeptEvent[] }>(`${AUDIT_PATH}?limit=${EVENTS}`, aborted),
    [],
  );
  return (
    <section aria-labelledby="changes">
      <h2 id="changes">Lately</h2>
      <Loaded what="what changed lately" loading={loading}>
        {({ events }) =>
          events.length === 0 ? (
            <Empty>
              The audit log has nothing yet. An open broker, which asks nobody who they are, notes
              nothing.
            </Empty>
          ) : (
            <>
              <AuditTable caption="What changed lately" events={events} />
              <p>
                <a href={paths.audit}>The audit log</a> has more than these{" "}
                {countText(events.length, "line")}.
              </p>
            </>
          )
        }
      </Loaded>
    </section>
  );
}
