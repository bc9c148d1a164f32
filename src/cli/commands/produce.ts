// rivulet produce: one record for each line, or for each element of a JSON array, or one tombstone.
import { setTimeout as wait } from "node:timers/promises";
import { MAX_MESSAGE_BYTES } from "../../core/limits.ts";
import { atLine } from "../../protocol/line-errors.ts";
import { BrokerError, type Producer, type RecordInput } from "../../sdk/index.ts";
import { whole } from "../answer.ts";
import type { Command } from "../command.ts";
import {
  connect,
  type GlobalOptions,
  print,
  UsageError,
  wantsNotes,
  withAfterword,
} from "../context.ts";
import { count } from "../figures.ts";
import { type Input, openInput } from "../input.ts";
import { assertLineOptions, collectHeader, type LineOptions, recordOf } from "../line-records.ts";
import { parseWholeNumber } from "../options.ts";
import { Progress } from "../progress.ts";
import { parseSeparator } from "../record-text.ts";
import { parseTime } from "../times.ts";

/** The records of one request: large enough to be cheap, small enough to be prompt. */
const REQUEST_RECORDS = 2_000;
const REQUEST_BYTES = 1_000_000;
/** If nothing comes for so long, the collected records are sent. */
const PAUSE_MS = 50;

interface ProduceOptions extends LineOptions {
  readonly file?: string;
  readonly array?: true;
  readonly raw?: true;
  readonly tombstone?: true;
}

export function addProduce(program: Command): void {
  program
    .command("produce <topic>")
    .summary("append records to a topic")
    .description(
      "Appends a record for each line of standard input, or of a file. Empty lines are skipped. " +
        "Bytes stay as they are. Records with the same key go to the same partition.",
    )
    .option("-f, --file <path>", "read this file instead of standard input")
    .option("--array", "the input is one JSON array, and each element is a record")
    .option(
      "--records",
      "each line is a whole record as `rivulet --json consume` prints it, or with a timestamp in ISO 8601; it is placed anew",
    )
    .option("--key <key>", "give every record this key")
    .option("-k, --key-field <name>", "take the key from this field of each JSON value")
    .option(
      "--key-separator <text>",
      "the line is a key, this text and a value, as in key:value; \\t is a tab",
      parseSeparator,
    )
    .option(
      "--header <name=value>",
      "add this header to every record; may be repeated",
      collectHeader,
    )
    .option(
      "--timestamp <time>",
      "give every record this time: ISO 8601, or milliseconds since 1970 (default: now)",
      parseTime,
    )
    .option(
      "--partition <number>",
      "append to this partition (default: by the key)",
      parseWholeNumber,
    )
    .option("--null-value <text>", "a value that is this text is a tombstone")
    .option("--tombstone", "read no input, and append one tombstone with the key of --key")
    .option(
      "--raw",
      "take every byte of a line: keep carriage returns, and do not reject input that looks compressed, binary or indented",
    )
    .details(
      "The start of the input is checked before anything is stored: its first 64 KiB, or the first piece that a pipe brings. " +
        "Compressed files, UTF-16, NUL bytes and JSON over several lines are rejected.",
    )
    .seeAlso("consume", "import", "topics create")
    .examples(
      `echo '{"id":"o-1","total":12}' | rivulet produce orders --key-field id`,
      "rivulet produce orders --file orders.txt --key-separator : --header source=shop",
      "rivulet produce customers --tombstone --key c-7",
    )
    .action(async (topic: string, options: ProduceOptions, command: Command) => {
      await run(topic, options, command.optsWithGlobals<GlobalOptions>());
    });
}

async function run(topic: string, options: ProduceOptions, global: GlobalOptions): Promise<void> {
  assertLineOptions(options);
  if (options.array && options.keySeparator !== undefined)
    throw new UsageError("--key-separator goes without --array, whose elements are values");
  if (options.tombstone) assertTombstone(options);
  const { admin, producer } = connect(global);
  // A typo is an error even if nothing is to be sent.
  whole(await admin.describeTopic(topic), "name", "partitions");
  if (options.tombstone) return appendTombstone(topic, producer, options, global);
  const input = await openInput(options.file, {
    isArray: options.array ?? false,
    isRaw: options.raw ?? false,
    maxBytes: maxLineBytes(options),
  });
  const partitions = new Map<number, number>();
  let total = 0;
  const isTyped = options.file === undefined && process.stdin.isTTY; // Typing would be drawn over.
  const progress = new Progress(wantsNotes(global) && !isTyped, () => input.part(total));
  process.once("SIGINT", () => {
    progress.end();
    process.kill(process.pid, "SIGINT");
  });
  try {
    for await (const { records, lines, bytes } of requests(input, options)) {
      const outcomes = await producer.send(topic, records).catch((error: unknown) => {
        throw atLine(error, lines);
      });
      for (const [index, outcome] of outcomes.entries()) {
        if ("error" in outcome) {
          const { code, detail } = outcome.error;
          throw new BrokerError(code, `line ${lines[index]} was not stored: ${detail}`);
        }
        partitions.set(outcome.partition, (partitions.get(outcome.partition) ?? 0) + 1);
        total++;
      }
      progress.add(records.length, bytes);
    }
  } catch (error) {
    progress.end();
    throw withAfterword(error, `${count(total, "record")} stored before that.`);
  }
  progress.end();
  const summary = {
    topic,
    records: total,
    partitions: Object.fromEntries([...partitions].sort(([a], [b]) => a - b)),
  };
  print(
    global,
    summary,
    () =>
      `Produced ${count(total, "record")} to ${count(partitions.size, "partition")} of ${topic}.`,
  );
}

/** JSON writes a byte as 6 characters at most, as in \u0000. */
const MOST_JSON = 6;

/** Returns the bytes of the longest line that can become a record. */
function maxLineBytes({ records, keySeparator = "" }: LineOptions): number {
  const most = records ? MOST_JSON * MAX_MESSAGE_BYTES : MAX_MESSAGE_BYTES;
  return most + Buffer.byteLength(keySeparator);
}

/** @throws UsageError */
function assertTombstone(options: ProduceOptions): void {
  const { key, file, array, records, keyField, keySeparator, nullValue, raw } = options;
  if (key === undefined) throw new UsageError("--tombstone goes with --key");
  if ((file ?? array ?? records ?? keyField ?? keySeparator ?? nullValue ?? raw) !== undefined)
    throw new UsageError(
      "--tombstone reads no input: give --key, --header, --timestamp, --partition",
    );
}

async function appendTombstone(
  topic: string,
  producer: Producer,
  { key, header, timestamp, partition }: ProduceOptions,
  global: GlobalOptions,
): Promise<void> {
  const [outcome] = await producer.send(topic, [
    {
      ...{ key, value: null },
      ...(header === undefined ? {} : { headers: header }),
      ...(timestamp === undefined ? {} : { timestamp }),
      ...(partition === undefined ? {} : { partition }),
    },
  ]);
  if (outcome === undefined) throw new Error("the broker has not answered for the record");
  if ("error" in outcome) throw new BrokerError(outcome.error.code, outcome.error.detail);
  const summary = { topic, records: 1, partitions: { [outcome.partition]: 1 } };
  print(
    global,
    summary,
    () => `Appended a tombstone for ${key} to partition ${outcome.partition} of ${topic}.`,
  );
}

interface Request {
  readonly records: RecordInput[];
  /** The line of each record in the input. */
  readonly lines: number[];
  readonly bytes: number;
}

async function* requests({ pieces }: Input, options: LineOptions): AsyncGenerator<Request> {
  const source = pieces[Symbol.asyncIterator]();
  let records: RecordInput[] = [];
  let lines: number[] = [];
  let bytes = 0;
  const take = (): Request => {
    const request = { records, lines, bytes };
    records = [];
    lines = [];
    bytes = 0;
    return request;
  };
  for (;;) {
    const next = source.next();
    next.catch(() => {}); // It may fail while earlier records are sent. The error is reported when it is awaited.
    const isPaused = records.length > 0 && (await isSlow(next));
    if (isPaused) yield take();
    const piece = await next;
    if (piece.done) break;
    for (const { bytes: value, line } of piece.value) {
      records.push(recordOf(value, line, options));
      lines.push(line);
      bytes += value.length;
      if (records.length >= REQUEST_RECORDS || bytes >= REQUEST_BYTES) yield take();
    }
  }
  if (records.length > 0) yield take();
}

/** True if the next record is slow to come. `tail -f … | rivulet produce` then sends what there is. */
function isSlow(next: Promise<unknown>): Promise<boolean> {
  const pause = wait(PAUSE_MS, true, { ref: false });
  return Promise.race([pause, next.then(() => false)]);
}
