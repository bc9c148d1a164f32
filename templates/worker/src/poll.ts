// Consumes without a connection: each request polls for records and acknowledges those of the one before.
import type { RivuletService } from "rivulet";

export interface PolledRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly timestamp: number;
  /** Text. If a key or a value is not UTF-8, `keyBase64` or `valueBase64` stands in its place. */
  readonly key: string | null;
  readonly value: string | null;
}

export interface PollOptions {
  readonly groupId: string;
  readonly topics: readonly string[];
  /** When to stop, even if there is more. */
  readonly endMs: number;
  /** Handles a record. If it throws, this record and those behind it come again in the next run. */
  readonly handle: (record: PolledRecord) => Promise<void>;
}

type Ack = Pick<PolledRecord, "topic" | "partition" | "offset">;

/** The group keeps the member's partitions while a few runs fail, and does not rebalance between two runs. */
const SESSION_MS = 300_000;
const MAX_RECORDS = 100;
const TOKEN_MS = 120_000;

/** Polls and handles until nothing is left, or `endMs` has come. */
export async function pollUntilEmpty(
  service: RivuletService,
  { groupId, topics, endMs, handle }: PollOptions,
): Promise<void> {
  const admin = await service.admin;
  const { token } = await admin.createToken({ ttlMs: TOKEN_MS });
  const poll = async (ack: readonly Ack[], maxRecords: number): Promise<PolledRecord[]> => {
    const response = await service.fetch(
      new Request(`http://rivulet/v1/groups/${encodeURIComponent(groupId)}/poll`, {
        method: "POST",
        headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
        body: JSON.stringify({
          instanceId: "cron",
          topics,
          ack,
          maxRecords,
          sessionTimeoutMs: SESSION_MS,
        }),
      }),
    );
    if (!response.ok) throw new Error(await response.text());
    const { records } = await response.json<{ records: PolledRecord[] }>();
    return records;
  };

  let ack: readonly Ack[] = [];
  for (;;) {
    // The last poll only acknowledges. The record that it returns comes again in the next run.
    const isLast = Date.now() >= endMs;
    const records = await poll(ack, isLast ? 1 : MAX_RECORDS);
    if (isLast || records.length === 0) return;
    for (const record of records) await handle(record);
    ack = lastOfEachPartition(records);
  }
}

function lastOfEachPartition(records: readonly PolledRecord[]): Ack[] {
  const last = new Map<string, Ack>();
  for (const { topic, partition, offset } of records)
    last.set(`${topic}/${partition}`, { topic, partition, offset });
  return [...last.values()];
}
