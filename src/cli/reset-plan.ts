// The plan of `groups reset --from-file`: lines as kafka-consumer-groups takes them, or the JSON of a dry run.
import type { PlannedOffset } from "../sdk/index.ts";
import { parseJson, UsageError } from "./context.ts";

/** Parses a plan. `file` is the name of the text in errors. The broker checks that the partitions exist. */
export function parsePlan(text: string, file: string): PlannedOffset[] {
  const trimmed = text.trim();
  const plan = /^[[{]/.test(trimmed) ? fromAnswer(trimmed, file) : fromLines(text, file);
  if (plan.length === 0) throw new UsageError(`${file} names no partition`);
  return plan;
}

function fromAnswer(text: string, file: string): PlannedOffset[] {
  const { offsets } = parseJson(text, file) as { offsets?: unknown };
  if (!Array.isArray(offsets)) {
    throw new UsageError(
      `${file} is JSON without a list \`offsets\`, as \`rivulet groups reset --dry-run --json\` prints it`,
    );
  }
  const stray = offsets.findIndex((entry) => typeof entry !== "object" || entry === null);
  if (stray !== -1) {
    throw new UsageError(
      `${file}: offsets[${stray}] is ${JSON.stringify(offsets[stray])}, it must be an object`,
    );
  }
  return offsets; // The broker checks the fields, and names what is wrong.
}

function fromLines(text: string, file: string): PlannedOffset[] {
  const plan: PlannedOffset[] = [];
  const lineOf = new Map<string, number>();
  for (const [index, raw] of text.split("\n").entries()) {
    const line = raw.trim();
    if (line === "" || line.startsWith("#")) continue;
    const place = `${file}, line ${index + 1}`;
    const [topic = "", partition, offset, ...more] = line.split(",").map((field) => field.trim());
    if (topic === "" || offset === undefined || more.length > 0)
      throw new UsageError(`${place} is "${line}", it must be topic,partition,offset`);
    const entry = {
      topic,
      partition: parseWholeNumber(partition, `${place}: the partition`),
      offset: parseWholeNumber(offset, `${place}: the offset`),
    };
    const name = `${topic}/${entry.partition}`;
    const earlier = lineOf.get(name);
    if (earlier !== undefined) {
      throw new UsageError(
        `${place}: partition ${entry.partition} of topic ${topic} is on line ${earlier} already`,
      );
    }
    lineOf.set(name, index + 1);
    plan.push(entry);
  }
  return plan;
}

function parseWholeNumber(text: string | undefined, what: string): number {
  if (text !== undefined && /^\d{1,15}$/.test(text)) return Number(text);
  throw new UsageError(`${what} is "${text}", it must be a whole number`);
}
