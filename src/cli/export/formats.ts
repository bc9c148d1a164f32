// The formats by name, and by the first bytes of a file.
import type { FileHandle } from "node:fs/promises";
import { batchFrames, MAGIC } from "./batch-frames.ts";
import type { Format, FormatName } from "./format.ts";
import { ndjson } from "./ndjson.ts";

export const FORMATS: Readonly<Record<FormatName, Format>> = { ndjson, batches: batchFrames };

/** Returns the format of a file by its first bytes. An empty file, or one that is not an export, has none. */
export async function formatOf(file: FileHandle, path: string): Promise<Format> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(64), 0, 64, 0);
  const first = buffer.subarray(0, bytesRead).toString("latin1");
  for (const [begin, format] of BEGINNINGS) {
    const length = Math.min(first.length, begin.length);
    if (length > 0 && first.slice(0, length) === begin.slice(0, length)) return format;
  }
  throw new Error(`${path} is not an export of Rivulet`);
}

const BEGINNINGS = [
  ['{"rivulet":"export"', ndjson],
  [MAGIC.toString(), batchFrames],
] as const;
