// Writes a topic to a file. A broken-off export continues after the last whole chunk of its file.
import { type FileHandle, open } from "node:fs/promises";
import type { BrokerError, TopicInfo } from "../../sdk/index.ts";
import type { Broker } from "../broker.ts";
import { ByteSource } from "./byte-source.ts";
import { DamagedExport, type ExportHeader, ExportState, type GroupPositions } from "./content.ts";
import { FIRST_SUM, type Format, type WrittenChunk } from "./format.ts";
import { formatOf } from "./formats.ts";

/** The number of groups in one chunk. */
const GROUPS_PER_CHUNK = 500;

/** A file that an export writes, with its content so far. */
export interface Target {
  readonly topic: string;
  readonly path: string;
  readonly format: Format;
  readonly state: ExportState;
  /** The byte at which writing continues. */
  readonly position: number;
  readonly sum: Buffer;
  /** Tells people what is damaged and cut off. Null if nothing is. */
  readonly damage: string | null;
}

/** Examines the file without changing it. @throws Error if it is not an export of this topic */
export async function look(topic: string, path: string, format: Format): Promise<Target> {
  const state = new ExportState();
  const target = { topic, path, format, state, position: 0, sum: FIRST_SUM, damage: null };
  const file = await open(path, "r").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return null;
    throw new Error(`${path} cannot be read: ${error.message}`);
  });
  if (file === null) return target;
  let position = 0;
  let sum: Buffer = FIRST_SUM;
  let damage: string | null = null;
  try {
    if ((await formatOf(file, path)) !== format)
      throw new Error(`${path} is an export in another format; name another file, or its --format`);
    for await (const { contents, end, sum: next } of format.read(new ByteSource(file))) {
      for (const content of contents) {
        const wrong = state.add(content);
        if (wrong !== null) throw new DamagedExport(wrong, position);
      }
      position = end;
      sum = next;
    }
  } catch (error) {
    if (!(error instanceof DamagedExport)) throw error;
    if (state.isComplete) throw new Error(`${path} holds more bytes after the end of its export`);
    if (!error.isCut) damage = error.message;
  } finally {
    await file.close();
  }
  const { header } = state;
  if (header !== null && header.topic !== topic)
    throw new Error(`${path} is an export of topic ${header.topic}; name another file`);
  return { ...target, position, sum, damage };
}

/** Gets reports about a running export. */
export interface Reporting {
  /** Called with the offsets that are done, and with all. */
  offsets(done: number, all: number): void;
  add(records: number, bytes: number): void;
  note(text: string): void;
}

export interface Exported {
  readonly records: number;
  /** The number of records that were in the file before. */
  readonly before: number;
  readonly groups: number;
  readonly bytes: number;
}

/** Writes what is missing. `positions` are those of groups, if they are wanted and the file is new. */
export async function exportTopic(
  broker: Broker,
  target: Target,
  positions: readonly GroupPositions[],
  report: Reporting,
): Promise<Exported> {
  const { topic, path } = target;
  const described = await broker.again(() => broker.admin.describeTopic(topic));
  if (target.state.header !== null && target.state.header.topicId !== described.topicId)
    throw new Error(
      `${path} is part of an export of an earlier topic ${topic}, which was deleted; name another file`,
    );
  // The bounds are read after the positions of the groups, so no position lies beyond them.
  const header = target.state.header ?? (await headerOf(broker, described));
  const file = await open(path, target.position === 0 ? "w+" : "r+").catch((error: Error) => {
    throw new Error(`${path} cannot be written: ${error.message}`);
  });
  try {
    return await new TopicExport(broker, target, header, file, report).run(positions);
  } finally {
    await file.close();
  }
}

class TopicExport {
  readonly #broker: Broker;
  readonly #target: Target;
  readonly #header: ExportHeader;
  readonly #file: FileHandle;
  readonly #report: Reporting;
  readonly #counts: number[];
  #position: number;
  #sum: Buffer;
  #total: number;

  constructor(
    broker: Broker,
    target: Target,
    header: ExportHeader,
    file: FileHandle,
    report: Reporting,
  ) {
    this.#broker = broker;
    this.#target = target;
    this.#header = header;
    this.#file = file;
    this.#report = report;
    const { counts, total } = target.state;
    this.#counts = header.ranges.map((_, partition) => counts[partition] ?? 0);
    this.#total = total;
    this.#position = target.position;
    this.#sum = target.sum;
  }

  async run(positions: readonly GroupPositions[]): Promise<Exported> {
    const { format, state } = this.#target;
    const before = this.#total;
    await this.#written(() => this.#file.truncate(this.#position));
    if (state.header === null) {
      await this.#write(format.header(this.#header, this.#before));
      for (let i = 0; i < positions.length; i += GROUPS_PER_CHUNK) {
        const groups = positions.slice(i, i + GROUPS_PER_CHUNK);
        await this.#write(format.groups(groups, this.#before));
      }
    }
    for (let { partition } = state; partition < this.#header.partitions; partition++)
      await this.#partition(partition);
    await this.#write(format.end(this.#counts, this.#before));
    await this.#written(() => this.#file.sync());
    return { records: this.#total, before, groups: positions.length, bytes: this.#position };
  }

  get #before() {
    return { sum: this.#sum, total: this.#total };
  }

  async #partition(partition: number): Promise<void> {
    const { format, state, topic } = this.#target;
    const { ranges, topicId } = this.#header;
    const { start, end } = ranges[partition] ?? { start: 0, end: 0 };
    let next = partition === state.partition ? Math.max(start, state.nextOffset) : start;
    const all = ranges.reduce((sum, range) => sum + range.end - range.start, 0);
    const done = (offset: number) =>
      ranges.reduce((sum, range) => {
        const to = range.partition < partition ? range.end : offset;
        return range.partition > partition ? sum : sum + Math.min(to, range.end) - range.start;
      }, 0);
    while (next < end) {
      const read = await this.#read(partition, next);
      if (read.topicId !== topicId)
        throw new Error(
          `topic ${topic} was deleted and created anew during the export, which ends here`,
        );
      const range = { from: next, end };
      for (const chunk of format.records(partition, read.bytes, range, this.#before)) {
        await this.#write(chunk);
        this.#total += chunk.records;
        this.#counts[partition] = (this.#counts[partition] ?? 0) + chunk.records;
        this.#report.add(chunk.records, chunk.bytes.length);
      }
      if (read.nextOffset <= next)
        throw new Error(
          `partition ${partition} ends at ${read.highWatermark}, but ended at ${end} when the export began`,
        );
      next = read.nextOffset;
      this.#report.offsets(done(next), all);
    }
  }

  /** Reads on. If the log has lost its beginning in the meantime, it continues at the new start and reports that. */
  async #read(partition: number, offset: number) {
    const { topic } = this.#target;
    try {
      return await this.#broker.batches(topic, partition, offset);
    } catch (error) {
      const { code, data } = error as BrokerError;
      const { logStartOffset } = data ?? {};
      if (
        code !== "OFFSET_OUT_OF_RANGE" ||
        typeof logStartOffset !== "number" ||
        logStartOffset <= offset
      )
        throw error;
      this.#report.note(
        `# ${topic}/${partition}: records ${offset} to ${logStartOffset - 1} were deleted or expired meanwhile, and are left out`,
      );
      return await this.#broker.batches(topic, partition, logStartOffset);
    }
  }

  async #write({ bytes, sum }: WrittenChunk): Promise<void> {
    await this.#written(async () => {
      for (let done = 0; done < bytes.length; ) {
        const { bytesWritten } = await this.#file.write(
          bytes,
          done,
          bytes.length - done,
          this.#position + done,
        );
        done += bytesWritten;
      }
    });
    this.#position += bytes.length;
    this.#sum = sum;
  }

  async #written(write: () => Promise<unknown>): Promise<void> {
    try {
      await write();
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new Error(
        `${this.#target.path} could not be written: ${reason}. Its whole chunks stay; make room, and run the same command again to continue.`,
      );
    }
  }
}

async function headerOf(broker: Broker, topic: TopicInfo): Promise<ExportHeader> {
  const { name, topicId, partitions, overrides } = topic;
  const bounds = await broker.bounds(name, partitions);
  const ranges = bounds.map((range, partition) => ({ partition, ...range }));
  const exportedAt = new Date().toISOString();
  return { topic: name, topicId, partitions, config: overrides, exportedAt, ranges };
}
