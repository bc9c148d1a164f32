// Opens the form that produces a record, if the grants allow it, and then links to the record.
import { useState } from "preact/hooks";
import { announce } from "../announce.ts";
import type { PlacedRecord } from "../record-bytes.ts";
import { isOffered } from "../session.ts";
import { Dialog } from "./dialog.tsx";
import { later } from "./later.tsx";
import { type Stored, StoredLink } from "./stored-link.tsx";

const ProduceForm = later(
  "the form",
  async () => (await import("../pages/produce.tsx")).ProduceForm,
);

/** With a record, the form starts with its content. */
export function ProduceButton({
  topic,
  record = null,
}: {
  topic: string;
  record?: PlacedRecord | null;
}) {
  const [isOpen, setOpen] = useState(false);
  const [stored, setStored] = useState<Stored | null>(null);
  if (!isOffered("WRITE", "topic", topic)) return null;
  const close = () => setOpen(false);
  return (
    <div class="row">
      <button type="button" onClick={() => setOpen(true)}>
        {record === null ? "Produce a record…" : "Send again…"}
      </button>
      {stored !== null && <StoredLink topic={topic} stored={stored} />}
      {isOpen && (
        <Dialog
          title={record === null ? "Produce a record" : "Send the record again"}
          onClose={close}
        >
          <ProduceForm
            topic={topic}
            record={record}
            onClose={close}
            onStored={(place) => {
              setStored(place);
              announce(`Stored in partition ${place.partition} at offset ${place.offset}.`);
            }}
          />
        </Dialog>
      )}
    </div>
  );
}
