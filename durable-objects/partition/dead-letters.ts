// Writes the dead letters of a share group, each once [DLQ-1]. An archiving record is appended to the dead-letter topic under a
// key that names it. So whatever crashes between the append and the note that it is archived, the repeat finds the append.
import { decodeAnyBatch } from "../../src/compression/decode.ts";
import { errorOf, type Result, unwrap } from "../../src/core/errors.ts";
import { DEAD_LETTERS_AT_ONCE, MAX_ALARM_RETRY_MS } from "../../src/core/limits.ts";
import type { PartitionLog } from "../../src/core/log/partition-log.ts";
import { encodeBatch } from "../../src/core/log/record-batch.ts";
import { mapConcurrently } from "../../src/core/map-concurrently.ts";
import type { ConsumerRecord } from "../../src/core/record.ts";
import { deadLetterOf } from "../../src/core/share/dead-letter.ts";
import type { DeliveryRange } from "../../src/core/share/share-ranges.ts";
import type { DeadLetterTerms } from "../../src/core/share/share-terms.ts";
import { clusterStub, type Env, partitionStub } from "../../src/env.ts";
import { RetryPause } from "../shared/retry.ts";

/** The pause after the first failure. It doubles. */
const FIRST_PAUSE_MS = 1_000;
const LETTERS_IN_FLIGHT = 8;
/** While dead letters are being written, an alarm is set for a crash. */
const WATCH_MS = 10_000;

/** The source of dead letters. */
export interface DeadLetterSource {
  readonly group: string;
  readonly incarnation: number;
  /** Increases with each reset, after which a record may be given up again. */
  readonly epoch: number;
  readonly topicId: string;
  readonly topic: string;
  readonly partition: number;
  /** The number of the topic's partitions. */
  readonly partitions: number;
}

interface Letter {
  readonly offset: number;
  readonly range: DeliveryRange;
}

interface Target {
  readonly topicId: string;
  readonly partition: number;
  readonly region: string | undefined;
}

/** Writes the dead letters of one group. */
export class DeadLetterWriter {
  readonly #env: Env;
  readonly #log: PartitionLog;
  readonly #pause = new RetryPause(FIRST_PAUSE_MS, MAX_ALARM_RETRY_MS);
  #isWriting = false;
  #retryAtMs = 0;
  /** The offset after the last one that was tried. */
  #from = 0;

  constructor(env: Env, log: PartitionLog) {
    this.#env = env;
    this.#log = log;
  }

  /** The time at which to look whether dead letters are still to be written. */
  nextDueMs(nowMs: number): number {
    return this.#isWriting ? nowMs + WATCH_MS : Math.max(nowMs, this.#retryAtMs);
  }

  /**
   * Writes records of these ranges, each by itself: one that cannot be written holds up no others. Returns the offsets that
   * are written, and a failure if there was one. Nothing is written while it is not the time.
   */
  async write(
    source: DeadLetterSource,
    ranges: readonly DeliveryRange[],
    terms: DeadLetterTerms,
    nowMs: number,
  ): Promise<{ readonly written: readonly number[]; readonly failure: unknown }> {
    const written: number[] = [];
    if (this.#isWriting || this.#retryAtMs > nowMs) return { written, failure: null };
    this.#isWriting = true;
    let failure: unknown = null;
    try {
      const target = await this.#target(source, terms);
      await mapConcurrently(this.#next(ranges), LETTERS_IN_FLIGHT, async ({ offset, range }) => {
        try {
          await this.#append(source, { ...range, offset }, terms, target);
          written.push(offset);
        } catch (error) {
          failure ??= error;
        }
      });
    } catch (error) {
      failure = error;
    }
    this.#isWriting = false;
    if (failure === null) this.#pause.succeeded();
    this.#retryAtMs = failure === null ? 0 : Date.now() + this.#pause.failed();
    return { written, failure };
  }

  /** Returns the next records to write. They go round, so that some that fail do not keep the others back. */
  #next(ranges: readonly DeliveryRange[]): readonly Letter[] {
    const behind = ranges.filter(({ last }) => last >= this.#from);
    const ahead = ranges.filter(({ last }) => last < this.#from);
    const letters = firstOffsets([...behind, ...ahead], DEAD_LETTERS_AT_ONCE);
    this.#from = (letters.at(-1)?.offset ?? -1) + 1;
    return letters;
  }

  /** Finds the dead-letter topic, and creates it if the config says so. */
  async #target(source: DeadLetterSource, { topic: name, creates }: DeadLetterTerms) {
    const cluster = clusterStub(this.#env);
    let found = await cluster.topic({ name });
    if (!found.ok && found.error === "UNKNOWN_TOPIC_OR_PARTITION" && creates) {
      const { partitions } = source;
      const made = await cluster.createTopic({ name, partitions, overrides: {} });
      if (!made.ok && made.error !== "TOPIC_ALREADY_EXISTS") throw errorOf(made);
      found = await cluster.topic({ name });
    }
    const { topicId, partitions, region } = unwrap(found).topic;
    return { topicId, partition: source.partition % partitions, region };
  }

  async #append(
    source: DeadLetterSource,
    letter: DeliveryRange & { readonly offset: number },
    terms: DeadLetterTerms,
    target: Target,
  ): Promise<void> {
    const { offset, deliveryCount, reason = "" } = letter;
    const { group, incarnation, epoch, topicId, topic, partition } = source;
    const place = { topic, partition, offset, group, deliveryCount, reason };
    const stub = partitionStub(this.#env, target.topicId, target.partition, target.region);
    const requestId = `dead-letter ${group} ${incarnation}.${epoch} ${topicId}/${partition}`;
    const keyed = { producerId: 0, requestId, index: offset };
    const append = async (record: ConsumerRecord | null): Promise<Result<object>> => {
      const batches = encodeBatch([deadLetterOf(place, record, Date.now())]);
      return await stub.append({ batches, keyed });
    };
    const record = terms.copies ? this.#record(offset) : null;
    const first = await append(record);
    // With the headers it may be larger than a message may be. It is better to have it without its content than not at all.
    const appended = first.ok || first.error !== "MESSAGE_TOO_LARGE" ? first : await append(null);
    if (!appended.ok) throw errorOf(appended);
  }

  /** Returns the record, or null if it is gone or cannot be decoded. */
  #record(offset: number): ConsumerRecord | null {
    try {
      for (const { first, bytes } of this.#log.batchesFrom(offset))
        return first > offset
          ? null
          : (decodeAnyBatch(bytes, 0).find((record) => record.offset === offset) ?? null);
    } catch {
      // The partition reports damage where it is read.
    }
    return null;
  }
}

function firstOffsets(ranges: readonly DeliveryRange[], most: number): Letter[] {
  const offsets: Letter[] = [];
  for (const range of ranges)
    for (let offset = range.first; offset <= range.last; offset++) {
      if (offsets.length === most) return offsets;
      offsets.push({ offset, range });
    }
  return offsets;
}
