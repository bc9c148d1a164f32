// Consumes without a connection: each request polls for records and acknowledges those of the one before.
import type { RivuletService } from "rivulet";
import { BadRecord, setAside } from "./failed.ts";

export interface PolledRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly timestamp: number;
  /** Text, or bytes if it is not UTF-8. So is the value. */
  readonly key: string | Uint8Array | null;
  readonly value: string | Uint8Array | null;
}

/** A record of the answer. `keyBase64` stands in place of a key that is not UTF-8, and so does `valueBase64`. */
interface JsonRecord extends Omit<PolledRecord, "key" | "value"> {
  readonly key?: string | null;
  readonly value?: string | null;
  readonly keyBase64?: string;
  readonly valueBase64?: string;
}

export interface PollOptions {
  readonly groupId: string;
  readonly topics: readonly string[];
  /** When to stop, even if there is more. */
  readonly endMs: number;
  /**
   * Handles a record. If it throws a BadRecord, the record is set aside. If it throws anything else, the run ends, and this
   * record and those behind it come again in the next one.
   */
  readonly handle: (record: PolledRecord) => Promise<void>;
}

type Ack = Pick<PolledRecord, "topic" | "partition" | "offset">;

/** The group keeps the member's partitions while a few runs fail, and does not rebalance between two runs. */
const SESSION_MS = 300_000;
const MAX_RECORDS = 100;
const TOKEN_MS = 120_000;

/** Polls and handles until nothing is left, or `endMs` has come. @throws the error of `handle`, which is logged with its record */
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
    const { records } = await response.json<{ records: JsonRecord[] }>();
    return records.map(({ keyBase64, valueBase64, ...record }) => ({
      ...record,
      key: dataOf(record.key, keyBase64),
      value: dataOf(record.value, valueBase64),
    }));
  };
  const handleOrSetAside = async (record: PolledRecord): Promise<void> => {
    try {
      await handle(record);
    } catch (error) {
      if (!(error instanceof BadRecord)) throw error;
      await setAside(service, groupId, record, error);
    }
  };

  let ack: readonly Ack[] = [];
  for (;;) {
    // The last poll only acknowledges. The record that it returns comes again in the next run.
    const isLast = Date.now() >= endMs;
    const records = await poll(ack, isLast ? 1 : MAX_RECORDS);
    if (isLast || records.length === 0) return;
    for (const [at, record] of records.entries()) {
      try {
        await handleOrSetAside(record);
      } catch (error) {
        const { topic, partition, offset } = record;
        console.error(`${groupId} failed at ${topic}/${partition}/${offset}:`, error);
        if (at > 0) await poll(lastOfEachPartition(records.slice(0, at)), 1);
        throw error;
      }
    }
    ack = lastOfEachPartition(records);
  }
}

function dataOf(text: string | null | undefined, base64: string | undefined) {
  return base64 === undefined
    ? (text ?? null)
    : Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

function lastOfEachPartition(records: readonly PolledRecord[]): Ack[] {
  const last = new Map<string, Ack>();
  for (const { topic, partition, offset } of records)
    last.set(`${topic}/${partition}`, { topic, partition, offset });
  return [...last.values()];
}
