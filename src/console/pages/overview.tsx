// The first page: what exists, and what was changed lately.
import type { KeptEvent } from "../../core/access/audit.ts";
import type { AlertInfo } from "../../core/alerts/alert.ts";
import type { GroupSummary } from "../../core/metrics/group-summaries.ts";
import {
  ALERTS_PATH,
  AUDIT_PATH,
  COSTS_PATH,
  GROUP_LAGS_PATH,
  GROUPS_PATH,
  TOPICS_PATH,
} from "../../protocol/paths.ts";
import { get } from "../api.ts";
import { bytesText, countText, dollarsText, numberText } from "../format.ts";
import { PAGE_ROWS } from "../list-query.ts";
import { type Loading, useLoad } from "../load.ts";
import { paths } from "../router.ts";
import { isOffered } from "../session.ts";
import { AuditTable } from "../ui/audit-table.tsx";
import { Favorites } from "../ui/star.tsx";
import { Empty, Loaded } from "../ui/states.tsx";
import { Table } from "../ui/table.tsx";
import { LAG_COLUMNS } from "./lag-columns.tsx";

/** The number of changes that are shown. */
const EVENTS = 10;
/** The number of lagging groups that are shown. */
const WORST = 5;

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
      <Favorites kind="topic" />
      <Favorites kind="group" />
      <ul class="cards">
        <Card title="Topics" href={paths.topics()} loading={topics} show={(count) => count} />
        <Card title="Groups" href={paths.groups()} loading={groups} show={(count) => count} />
        <Card title="Health" href={paths.health} loading={health} show={({ status }) => status} />
        {isOffered("DESCRIBE", "cluster") && <Traffic />}
      </ul>
      {isOffered("DESCRIBE", "cluster") && <Firing />}
      <Behind />
      <p>
        <a href={paths.learn}>Learn consumer groups</a> on this broker, in ten minutes.
      </p>
      {isOffered("DESCRIBE", "cluster") && <Changes />}
    </>
  );
}

/** Returns their number, if one page has them all. Nothing counts them, and no list is read whole for this. */
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
  more?: (data: T) => string;
}) {
  const { title, href, loading, show, more } = props;
  const { data, error } = loading;
  return (
    <li>
      <h2>
        <a href={href}>{title}</a>
      </h2>
      {error === undefined ? (
        <>
          <p class="figure">{data === undefined ? "…" : show(data)}</p>
          {data !== undefined && more !== undefined && <p class="muted">{more(data)}</p>}
        </>
      ) : (
        <p class="danger-text">{(error as Error).message}</p>
      )}
    </li>
  );
}

interface Costs {
  readonly total: { readonly perHour: number; readonly today: number; readonly projected: number };
  readonly rates: {
    readonly recordsIn: number;
    readonly bytesIn: number;
    readonly bytesOut: number;
  };
}

/** True if the address is one of this machine, so that nobody bills the usage. */
const IS_OWN_MACHINE = /^(localhost|127\.[\d.]+|\[::1\])$/.test(location.hostname);

/** The present traffic, and its cost. */
function Traffic() {
  const loading = useLoad((aborted) => get<Costs>(`${COSTS_PATH}?limit=0`, aborted), []);
  return (
    <>
      <Card
        title="Traffic"
        href={paths.costs}
        loading={loading}
        show={({ rates: { recordsIn } }) => `${rateText(recordsIn)} records/s`}
        more={({ rates: { bytesIn, bytesOut } }) =>
          `${bytesText(Math.round(bytesIn))}/s in, ${bytesText(Math.round(bytesOut))}/s out`
        }
      />
      <Card
        title={IS_OWN_MACHINE ? "Would cost on Cloudflare" : "Costs at Cloudflare's prices"}
        href={paths.costs}
        loading={loading}
        show={({ total: { today } }) => `${dollarsText(today)} today`}
        more={({ total: { perHour, projected } }) =>
          `${dollarsText(perHour)} per hour, ${dollarsText(projected)} by the end of the month`
        }
      />
    </>
  );
}

function rateText(perSecond: number): string {
  return perSecond >= 10 || perSecond === 0
    ? numberText(Math.round(perSecond))
    : perSecond.toFixed(1);
}

/** The firing alerts. Shows nothing if there are none. */
function Firing() {
  const { data } = useLoad(
    (aborted) => get<{ alerts: readonly AlertInfo[] }>(ALERTS_PATH, aborted),
    [],
  );
  const firing = data?.alerts.filter((alert) => alert.firing.length > 0) ?? [];
  if (firing.length === 0) return null;
  return (
    <section aria-labelledby="firing" class="note danger">
      <h2 id="firing">Firing</h2>
      <ul>
        {firing.flatMap(({ name, firing: all }) => [
          ...all.slice(0, WORST).map(({ subject, text }) => (
            <li key={`${name} ${subject}`}>
              <a href={paths.alerts} class="data">
                {name}
              </a>
              : <span class="data">{text}</span>
            </li>
          )),
          ...(all.length > WORST
            ? [<li key={name}>and {countText(all.length - WORST, "more", "more")}</li>]
            : []),
        ])}
      </ul>
    </section>
  );
}

/** The groups that are furthest behind. */
function Behind() {
  const loading = useLoad(
    (aborted) =>
      get<{ groups: readonly GroupSummary[] }>(`${GROUP_LAGS_PATH}?limit=${WORST}`, aborted),
    [],
  );
  return (
    <section aria-labelledby="behind">
      <h2 id="behind">Furthest behind</h2>
      <Loaded what="the groups" loading={loading}>
        {({ groups }) => {
          const late = groups.filter(({ lag }) => lag !== null && lag > 0);
          return late.length === 0 ? (
            <Empty>No group is behind, as last reported.</Empty>
          ) : (
            <>
              <Table
                caption="The groups with the oldest unread records"
                isCaptionHidden
                columns={LAG_COLUMNS}
                rows={late}
                keyOf={({ groupId }) => groupId}
              />
              <p>
                <a href={paths.lags}>All groups by lag</a>
              </p>
            </>
          );
        }}
      </Loaded>
    </section>
  );
}

function Changes() {
  const loading = useLoad(
    (aborted) => get<{ events: readonly KeptEvent[] }>(`${AUDIT_PATH}?limit=${EVENTS}`, aborted),
    [],
  );
  return (
    <section aria-labelledby="changes">
      <h2 id="changes">Recent changes</h2>
      <Loaded what="the recent changes" loading={loading}>
        {({ events }) =>
          events.length === 0 ? (
            <Empty>
              The audit log is empty. An open broker, which asks for no credentials, records
              nothing.
            </Empty>
          ) : (
            <>
              <AuditTable caption="Recent changes" events={events} />
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
