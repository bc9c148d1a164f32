// rivulet produce: one record a line, or one element of a JSON array.
import { createReadStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import type { Command } from "commander";
import { BrokerError, type RecordInput } from "../../client/index.ts";
import { connect, type GlobalOptions, parseJson, print, UsageError } from "../context.ts";
import { count, wholeNumber } from "./topics.ts";

/** Records of one request: large enough to be cheap, small enough to be prompt. */
const REQUEST_RECORDS = 2_000;
const REQUEST_CHARS = 1_000_000;

interface ProduceOptions {
  readonly file?: string;
  readonly array?: true;
  readonly keyField?: string;
  readonly key?: string;
  readonly partition?: number;
}

export function addProduce(program: Command): void {
  program
    .command("produce <topic>")
    .description("append records: one line of standard input, or of a file, is one record")
    .option("-f, --file <path>", "read this file instead of standard input")
    .option("--array", "the input is one JSON array; each element is a record")
    .option("-k, --key-field <name>", "take the key from this field of each JSON value")
    .option("--key <key>", "give every record this key")
    .option("--partition <number>", "append to this partition", wholeNumber)
    .addHelpText(
      "after",
      '\nExample:\n  echo \'{"id":"o-1","total":12}\' | rivulet produce orders --key-field id',
    )
    .action(async (topic: string, options: ProduceOptions, command: Command) => {
      const global = command.optsWithGlobals<GlobalOptions>();
      if (options.key !== undefined && options.keyField !== undefined)
        throw new UsageError("--key and --key-field exclude each other");
      const { admin, producer } = connect(global);
      await admin.describeTopic(topic); // A typo is an error also where there is nothing to send.
      const partitions = new Map<number, number>();
      let total = 0;
      for await (const records of requests(values(options), options)) {
        for (const [index, outcome] of (await producer.send(topic, records)).entries()) {
          if ("error" in outcome) {
            throw new BrokerError(
              outcome.error.code,
              `record ${total + index + 1} was not stored: ${outcome.error.detail}`,
            );
          }
          partitions.set(outcome.partition, (partitions.get(outcome.partition) ?? 0) + 1);
        }
        total += records.length;
      }
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

async function* values(options: ProduceOptions): AsyncGenerator<string> {
  if (options.array) {
    const text =
      options.file === undefined
        ? await readAll(process.stdin)
        : await readFile(options.file, "utf8");
    const parsed = parseJson(text, "the input");
    if (!Array.isArray(parsed))
      throw new UsageError("--array: the input is JSON, but not an array");
    for (const element of parsed) yield JSON.stringify(element);
    return;
  }
  const input = options.file === undefined ? process.stdin : createReadStream(options.file);
  // readline swallows the error of a file that cannot be opened; this does not.
  const failed = new Promise<never>((_, reject) => input.once("error", reject));
  failed.catch(() => {});
  const lines = createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })[
    Symbol.asyncIterator
  ]();
  for (;;) {
    const next = await Promise.race([lines.next(), failed]);
    if (next.done) return;
    if (next.value !== "") yield next.value;
  }
}

async function* requests(
  texts: AsyncIterable<string>,
  options: ProduceOptions,
): AsyncGenerator<RecordInput[]> {
  let records: RecordInput[] = [];
  let chars = 0;
  let line = 0;
  for await (const text of texts) {
    line++;
    records.push({
      value: text,
      ...keyOf(text, line, options),
      ...(options.partition === undefined ? {} : { partition: options.partition }),
    });
    chars += text.length;
    if (records.length < REQUEST_RECORDS && chars < REQUEST_CHARS) continue;
    yield records;
    records = [];
    chars = 0;
  }
  if (records.length > 0) yield records;
}

function keyOf(text: string, line: number, options: ProduceOptions): { key?: unknown } {
  if (options.key !== undefined) return { key: options.key };
  if (options.keyField === undefined) return {};
  const value = parseJson(text, `line ${line}`);
  const key =
    typeof value === "object" && value !== null
      ? (value as Record<string, unknown>)[options.keyField]
      : undefined;
  if (key === undefined)
    throw new UsageError(`line ${line} has no field "${options.keyField}" to take the key from`);
  return { key };
}

async function readAll(stream: AsyncIterable<Buffer | string>): Promise<string> {
  let text = "";
  for await (const chunk of stream) text += chunk;
  return text;
}
