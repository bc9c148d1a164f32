// Parses the JSON of an export: header, groups, end. Errors name the field.
import {
  EXPORT_VERSION,
  type ExportHeader,
  type GroupPosition,
  type GroupPositions,
  type Range,
} from "./content.ts";

type Fields = Readonly<Record<string, unknown>>;

/** Writes the header with a mark that identifies a file as an export. */
export function headerJson(header: ExportHeader): string {
  return JSON.stringify({ rivulet: "export", version: EXPORT_VERSION, ...header });
}

/** @throws Error */
export function parseHeader(value: unknown): ExportHeader {
  const fields = object(value, "the header");
  if (fields.rivulet !== "export") throw new Error("it is not an export of Rivulet");
  if (fields.version !== EXPORT_VERSION)
    throw new Error(
      `its version is ${JSON.stringify(fields.version)}, this release reads ${EXPORT_VERSION}`,
    );
  const ranges = list(fields.ranges, "ranges").map((each, partition): Range => {
    const range = object(each, "ranges");
    const start = offset(range.start, "ranges.start");
    const end = offset(range.end, "ranges.end");
    if (range.partition !== partition || end < start)
      throw new Error(`ranges[${partition}] is wrong`);
    return { partition, start, end };
  });
  const partitions = offset(fields.partitions, "partitions");
  if (partitions !== ranges.length)
    throw new Error("ranges does not have one entry for each partition");
  const config = Object.entries(object(fields.config, "config")).map(([key, set]) => {
    if (typeof set !== "string" && typeof set !== "number")
      throw new Error(`config.${key} is wrong`);
    return [key, set] as const;
  });
  return {
    topic: text(fields.topic, "topic"),
    topicId: text(fields.topicId, "topicId"),
    partitions,
    config: Object.fromEntries(config),
    exportedAt: text(fields.exportedAt, "exportedAt"),
    ranges,
  };
}

/** @throws Error */
export function parseGroup(value: unknown): GroupPositions {
  const fields = object(value, "a group");
  return {
    group: text(fields.group, "group"),
    offsets: list(fields.offsets, "offsets").map((each): GroupPosition => {
      const { leaderEpoch, metadata, ...position } = object(each, "offsets");
      return {
        partition: offset(position.partition, "offsets.partition"),
        offset: offset(position.offset, "offsets.offset"),
        ...(typeof leaderEpoch === "number" ? { leaderEpoch } : {}),
        ...(typeof metadata === "string" ? { metadata } : {}),
      };
    }),
  };
}

/** @throws Error */
export function parseEnd(value: unknown): number[] {
  return list(object(value, "the end").partitions, "end.partitions").map((each) =>
    offset(each, "end.partitions"),
  );
}

export function object(value: unknown, name: string): Fields {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Fields;
  throw new Error(`${name} is not an object`);
}

function list(value: unknown, name: string): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw new Error(`${name} is not a list`);
}

function text(value: unknown, name: string): string {
  if (typeof value === "string") return value;
  throw new Error(`${name} is not text`);
}

export function offset(value: unknown, name: string): number {
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
  throw new Error(`${name} is not an offset`);
}
