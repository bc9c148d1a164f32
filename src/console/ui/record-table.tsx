// Records in rows, each of which opens to show the whole record.
import { useState } from "preact/hooks";
import { fileName } from "../csv.ts";
import { shortened } from "../format.ts";
import { type Bytes, keyBytes, type PlacedRecord, valueBytes } from "../record-bytes.ts";
import { ndjsonOf, RECORD_HEAD, recordCells } from "../record-export.ts";
import { paths } from "../router.ts";
import { CsvButton, DownloadButton } from "./download-button.tsx";
import { RecordDetail } from "./record-detail.tsx";
import { Scroll } from "./scroll.tsx";
import { Time } from "./time.tsx";

/** The most characters of a key or a value in a row. */
const PREVIEW_CHARS = 120;

function previewOf({ text, base64 }: Bytes): string {
  if (base64 !== null) return `base64 ${base64.slice(0, PREVIEW_CHARS)}`;
  return text === null ? "null" : shortened(text.slice(0, 4 * PREVIEW_CHARS), PREVIEW_CHARS);
}

export function RecordTable(props: {
  topic: string;
  records: readonly PlacedRecord[];
  /** Called when the user opens a record. */
  onOpen?: () => void;
}) {
  const { topic, records, onOpen } = props;
  const [open, setOpen] = useState<string | null>(null);
  return (
    <>
      <div class="buttons">
        <DownloadButton
          label="Download as NDJSON"
          name={fileName([topic, "records"], "ndjson")}
          type="application/x-ndjson"
          text={() => ndjsonOf(records)}
        />
        <CsvButton
          name={fileName([topic, "records"], "csv")}
          head={RECORD_HEAD}
          rows={() => records.map(recordCells)}
        />
      </div>
      <Scroll label="Records of the topic">
        <table class="records">
          <caption class="unseen">Records of the topic</caption>
          <thead>
            <tr>
              <th scope="col">Record</th>
              <th scope="col">Time</th>
              <th scope="col">Key</th>
              <th scope="col">Value</th>
              <th scope="col">More</th>
            </tr>
          </thead>
          <tbody>
            {records.flatMap((record) => {
              const { partition, offset, timestamp } = record;
              const id = `${partition}-${offset}`;
              const isOpen = id === open;
              return [
                <tr key={id}>
                  <th scope="row">
                    <a href={paths.record(topic, partition, offset)}>
                      {partition} / {offset}
                    </a>
                  </th>
                  <td>
                    <Time ms={timestamp} />
                  </td>
                  <td class="data preview">{previewOf(keyBytes(record))}</td>
                  <td class="data preview">{previewOf(valueBytes(record))}</td>
                  <td>
                    <button
                      type="button"
                      aria-expanded={isOpen}
                      onClick={() => {
                        setOpen(isOpen ? null : id);
                        if (!isOpen) onOpen?.();
                      }}
                    >
                      {isOpen ? "Close" : "Open"}
                      <span class="unseen">
                        {" "}
                        record {offset} of partition {partition}
                      </span>
                    </button>
                  </td>
                </tr>,
                isOpen && (
                  <tr key={`${id} open`}>
                    <td colSpan={5}>
                      <RecordDetail topic={topic} record={record} />
                    </td>
                  </tr>
                ),
              ];
            })}
          </tbody>
        </table>
      </Scroll>
    </>
  );
}
