// rivulet produce: one record per line, or one per element of a JSON array.
import { setTimeout as wait } from "node:timers/promises";
import type { Command } from "commander";
import { JsonCursor, keepRecordText } from "../../protocol/json-text.ts";
import { atLine } from "../../protocol/line-errors.ts";
import { BrokerError, type RecordInput } from "../../sdk/index.ts";
import {
  connect,
  examples,
  type GlobalOptions,
  parseJson,
  print,
  UsageError,
  wantsNotes,
} from "../context.ts";
import { type Input, openInput } from "../input.ts";
import { Progress } from "../progress.ts";
import { count, parseWholeNumber } from "./topics.ts";

/** The records of one request: large enough to be cheap, small enough to be prompt. */
const REQUEST_RECORDS = 2_000;
const REQUEST_BYTES = 1_000_000;
/** When nothing comes for so long, the collected records are sent. */
const PAUSE_MS = 50;

/** The fields of a record, besides its place. */
const FIELDS = new Set(["key", "keyBase64", "value", "valueBase64", "headers", "timestamp"]);

interface ProduceOptions {
  readonly file?: string;
  readonly array?: true;
  readonly records?: true;
  readonly keyField?: string;
  readonly key?: string;
  readonly partition?: number;
}

export function addProduce(program: Command): void {
  program
    .command("produce <topic>")
    .description(
      "append records: a line of standard input, or of a file, is one; empty lines are none",
    )
    .option("-f, --file <path>", "read this file instead of standard input")
    .option("--array", "the input is one JSON array; each element is a record")
    .option(
      "--records",
      "each line is a whole record, as --json consume prints them: key, value, headers, timestamp; it gets a place of its own",
    )
    .option("-k, --key-field <name>", "take the key from this field of each JSON value")
    .option("--key <key>", "give every record this key")
    .option("--partition <number>", "append to this partition", parseWholeNumber)
    .addHelpText(
      "after",
      examples(
        `echo '{"id":"o-1","total":12}' | rivulet produce orders --key-field id`,
        "rivulet produce orders --file orders.ndjson",
        "rivulet produce orders-copy --records --file copy.ndjson",
      ),
    )
    .action(async (topic: string, options: ProduceOptions, command: Command) => {
      const global = command.optsWithGlobals<GlobalOptions>();
      if (options.key !== undefined && options.keyField !== undefined)
        throw new UsageError("--key and --key-field exclude each other");
      if (options.records && (options.key ?? options.keyField) !== undefined)
        throw new UsageError("--records: the key stands in the record");
      const { admin, producer } = connect(global);
      await admin.describeTopic(topic); // A typo is an error even if nothing is to be sent.
      const input = await openInput(options.file, options.array ?? false);
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
        process.stderr.write(`${count(total, "record")} stored before that.\n`);
        throw error;
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
    });
}

interface Request {
  readonly records: RecordInput[];
  /** The line of each record in the input. */
  readonly lines: number[];
  readonly bytes: number;
}

async function* requests({ pieces }: Input, options: ProduceOptions): AsyncGenerator<Request> {
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
      records.push({
        ...(options.records ? wholeRecord(value, line) : { value, ...keyOf(value, line, options) }),
        ...(options.partition === undefined ? {} : { partition: options.partition }),
      });
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

/** Reads a record as `rivulet --json consume` prints it. Its old place is left out. */
function wholeRecord(bytes: Buffer, line: number): RecordInput {
  const text = bytes.toString();
  const record = parseJson(text, `line ${line}`);
  keepRecordText(text, record);
  if (typeof record !== "object" || record === null || Array.isArray(record))
    throw new UsageError(`line ${line} is no record: a JSON object with a value, key, headers …`);
  const {
    topic: _topic,
    partition: _partition,
    offset: _offset,
    ...own
  } = record as RecordInput & Readonly<Record<"topic" | "offset", unknown>>;
  for (const field of Object.keys(own))
    if (!FIELDS.has(field)) throw new UsageError(`line ${line}: a record has no field "${field}"`);
  return own;
}

function keyOf(value: Buffer, line: number, options: ProduceOptions): { key?: unknown } {
  if (options.key !== undefined) return { key: options.key };
  if (options.keyField === undefined) return {};
  const text = value.toString();
  const parsed = parseJson(text, `line ${line}`);
  let key: unknown;
  const cursor = new JsonCursor(text);
  cursor.items((name) => {
    const given = cursor.skip();
    if (name !== options.keyField) return;
    // The bytes of a number, or of an object, are those in the line.
    const decoded: unknown = JSON.parse(given);
    key = decoded === null || typeof decoded === "string" ? decoded : Buffer.from(given);
  });
  if (key === undefined || Array.isArray(parsed))
    throw new UsageError(`line ${line} has no field "${options.keyField}" to take the key from`);
  return { key };
}
