// The audit log: refusals and changes, each with its caller.
import { useState } from "preact/hooks";
import type { KeptEvent } from "../../core/access/audit.ts";
import { AUDIT_PATH } from "../../protocol/paths.ts";
import { get } from "../api.ts";
import { PAGE_ROWS } from "../list-query.ts";
import { useLoad } from "../load.ts";
import { AuditTable } from "../ui/audit-table.tsx";
import { Empty, Loaded } from "../ui/states.tsx";

export function AuditPage() {
  const [before, setBefore] = useState<number | null>(null);
  const query = new URLSearchParams({
    limit: String(PAGE_ROWS),
    ...(before === null ? {} : { before: String(before) }),
  });
  const loading = useLoad(
    (aborted) => get<{ events: readonly KeptEvent[] }>(`${AUDIT_PATH}?${query}`, aborted),
    [before],
  );
  return (
    <>
      <h1>Audit</h1>
      <Loaded what="the audit log" loading={loading}>
        {({ events }) => {
          const last = events.at(-1);
          return (
            <>
              {events.length === 0 ? (
                <Empty>
                  {before === null
                    ? "The audit log is empty. An open broker, which asks for no credentials, records nothing."
                    : "There are no earlier events."}
                </Empty>
              ) : (
                <AuditTable caption="Audit log, newest event first" events={events} />
              )}
              <div class="buttons">
                {before !== null && (
                  <button type="button" onClick={() => setBefore(null)}>
                    Newest events
                  </button>
                )}
                {last !== undefined && events.length === PAGE_ROWS && (
                  <button type="button" onClick={() => setBefore(last.number)}>
                    Earlier events
                  </button>
                )}
              </div>
            </>
          );
        }}
      </Loaded>
    </>
  );
}
