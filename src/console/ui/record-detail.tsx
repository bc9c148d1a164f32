// One record: its key, its value, its headers, and code that reads it elsewhere.
import { credential } from "../api.ts";
import { timeText } from "../format.ts";
import { headersOf, keyBytes, type PlacedRecord, valueBytes } from "../record-bytes.ts";
import { curlOf, sdkOf } from "../record-code.ts";
import { paths } from "../router.ts";
import { CopyButton } from "./copy-button.tsx";
import { ProduceButton } from "./produce-button.tsx";
import { ValueView } from "./value-view.tsx";

export function RecordDetail({ topic, record }: { topic: string; record: PlacedRecord }) {
  const { partition, offset, timestamp } = record;
  const headers = headersOf(record);
  const place = { topic, partition, offset };
  return (
    <div class="record-detail">
      <p class="muted">
        Timestamp <span class="data">{timeText(timestamp)}</span>
      </p>
      <h3>Key</h3>
      <ValueView bytes={keyBytes(record)} label="key" mayBeBrief />
      <h3>Value</h3>
      <ValueView bytes={valueBytes(record)} label="value" />
      <h3>Headers</h3>
      {headers.length === 0 ? (
        <p class="muted">none</p>
      ) : (
        <dl class="headers">
          {headers.map(({ name, bytes }, i) => (
            <div key={i}>
              <dt class="data">{name === "" ? <em>no name</em> : name}</dt>
              <dd>
                <ValueView bytes={bytes} label={`header ${name}`} mayBeBrief />
              </dd>
            </div>
          ))}
        </dl>
      )}
      <ProduceButton topic={topic} record={record} />
      <h3>Read it elsewhere</h3>
      <div class="buttons">
        <CopyButton
          label="Copy link"
          text={() => `${location.origin}${paths.record(topic, partition, offset)}`}
        />
        <CopyButton
          label="Copy as curl"
          text={() => curlOf(location.origin, place, credential.value !== null)}
        />
        <CopyButton label="Copy for the SDK" text={() => sdkOf(location.origin, place)} />
      </div>
    </div>
  );
}
