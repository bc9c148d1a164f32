// One record, at an address of its own.
import type { JsonRecord } from "../../protocol/json-record.ts";
import { partitionPath } from "../../protocol/paths.ts";
import { get } from "../api.ts";
import { numberText } from "../format.ts";
import { useLoad } from "../load.ts";
import { paths } from "../router.ts";
import { RecordDetail } from "../ui/record-detail.tsx";
import { Empty, Loaded } from "../ui/states.tsx";

interface Fetched {
  readonly records: readonly JsonRecord[];
  readonly logStartOffset: number;
  readonly highWatermark: number;
}

export function RecordPage(props: { topic: string; partition: number; offset: number }) {
  const { topic, partition, offset } = props;
  const loading = useLoad(
    (aborted) =>
      get<Fetched>(
        `${partitionPath(topic, partition)}/records?offset=${offset}&maxRecords=1`,
        aborted,
      ),
    [topic, partition, offset],
  );
  return (
    <>
      <p class="crumbs">
        <a href={paths.topics()}>Topics</a> /{" "}
        <a class="data" href={paths.topic(topic)}>
          {topic}
        </a>
      </p>
      <h1>
        Record <span class="data">{offset}</span> of partition {partition}
      </h1>
      <Loaded what="the record" loading={loading}>
        {({ records: [record], logStartOffset, highWatermark }) =>
          record === undefined ? (
            <Empty>
              There is no record at this offset yet. The log has offsets{" "}
              {numberText(logStartOffset)} to {numberText(highWatermark - 1)}.
            </Empty>
          ) : (
            <>
              {record.offset !== offset && (
                <p class="note">
                  There is no record at offset {offset}: compaction has removed it, or the offset
                  has no record. This is the next one, {record.offset}.
                </p>
              )}
              <RecordDetail topic={topic} record={{ ...record, partition }} />
              <nav class="row" aria-label="Neighbours">
                {offset > logStartOffset && (
                  <a href={paths.record(topic, partition, offset - 1)} rel="prev">
                    Offset {offset - 1}
                  </a>
                )}
                {record.offset + 1 < highWatermark && (
                  <a href={paths.record(topic, partition, record.offset + 1)} rel="next">
                    Offset {record.offset + 1}
                  </a>
                )}
              </nav>
            </>
          )
        }
      </Loaded>
    </>
  );
}
