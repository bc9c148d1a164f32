// Events of the audit log.
import type { KeptEvent } from "../../core/access/audit.ts";
import { Table } from "./table.tsx";
import { Time } from "./time.tsx";

export function AuditTable(props: { caption: string; events: readonly KeptEvent[] }) {
  const { caption, events } = props;
  return (
    <Table
      caption={caption}
      isCaptionHidden
      columns={[
        { title: "Time", cell: ({ at }: KeptEvent) => <Time ms={Date.parse(at)} /> },
        { title: "Principal", cell: ({ principal }) => <span class="data">{principal}</span> },
        {
          title: "Outcome",
          cell: ({ decision }) =>
            decision === "refused" ? <strong class="danger-text">refused</strong> : "done",
        },
        { title: "Action", cell: ({ action }) => action },
        {
          title: "Resource",
          cell: ({ resource }) => (
            <>
              {resource.type} <span class="data">{resource.name}</span>
            </>
          ),
        },
        {
          title: "From",
          cell: ({ way, ip, userAgent }) => (
            <>
              {way} <span class="data">{ip ?? ""}</span>{" "}
              <span class="data muted clip" title={userAgent}>
                {userAgent ?? ""}
              </span>
            </>
          ),
        },
        {
          title: "Detail",
          isLong: true,
          cell: ({ detail, omitted, omittedOfOthers }) => (
            <>
              <span class="data">{detail ?? ""}</span>
              {omitted !== undefined && ` ${omitted} more of this principal are not listed.`}
              {omittedOfOthers !== undefined &&
                ` ${omittedOfOthers} more of other principals are not listed.`}
            </>
          ),
        },
      ]}
      rows={events}
      keyOf={({ number }) => String(number)}
    />
  );
}
