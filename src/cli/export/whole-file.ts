// Reads a whole export before anything is imported, so that a damaged or cut-off file changes nothing.
import { open } from "node:fs/promises";
import { ByteSource } from "./byte-source.ts";
import { DamagedExport, type ExportHeader, ExportState, type RecordsContent } from "./content.ts";
import type { Format } from "./format.ts";
import { formatOf } from "./formats.ts";
import { type MappedPosition, PositionMap } from "./position-map.ts";
import { countFrom, recordsOf } from "./stored-batches.ts";

export interface WholeFile {
  readonly format: Format;
  readonly header: ExportHeader;
  /** The number of records of each partition. */
  readonly counts: readonly number[];
  readonly groups: readonly {
    readonly group: string;
    readonly positions: readonly MappedPosition[];
  }[];
  readonly size: number;
}

/** @throws Error that says what is wrong with the file and where */
export async function readWhole(
  path: string,
  progress: (bytes: number) => void,
): Promise<WholeFile> {
  const file = await open(path, "r").catch((error: Error) => {
    throw new Error(`${path} cannot be read: ${error.message}`);
  });
  const state = new ExportState();
  const positions = new PositionMap();
  const counts: number[] = [];
  try {
    const format = await formatOf(file, path);
    let end = 0;
    try {
      for await (const chunk of format.read(new ByteSource(file))) {
        for (const content of chunk.contents) {
          const wrong = state.add(content);
          if (wrong !== null) throw new DamagedExport(wrong, end);
          if (content.type === "groups") for (const group of content.groups) positions.add(group);
          if (content.type === "records" && state.header !== null)
            pass(content, state.header, counts, positions);
        }
        end = chunk.end;
        progress(end);
      }
    } catch (error) {
      if (!(error instanceof DamagedExport)) throw error;
      const what = error.isCut ? "is cut off" : "is damaged";
      throw new Error(
        `${path} ${what}: ${error.message}. ${wholeUpTo(state)} Nothing was changed.`,
      );
    }
    const { header } = state;
    if (header === null || !state.isComplete)
      throw new Error(
        `${path} is cut off: it has no end. ${wholeUpTo(state)} Nothing was changed; run the export again to continue it.`,
      );
    for (const { partition } of header.ranges)
      positions.pass(partition, Number.MAX_SAFE_INTEGER, counts[partition] ?? 0);
    return {
      format,
      header,
      counts: header.ranges.map(({ partition }) => counts[partition] ?? 0),
      groups: positions.groups(),
      size: end,
    };
  } finally {
    await file.close();
  }
}

function wholeUpTo(state: ExportState): string {
  if (state.total === 0) return "No record of it is whole.";
  return `It is whole up to offset ${state.nextOffset - 1} of partition ${state.partition}.`;
}

/** Counts records, and maps the positions among them. */
function pass(
  { partition, records, batches }: RecordsContent,
  { ranges }: ExportHeader,
  counts: number[],
  positions: PositionMap,
): void {
  const from = ranges[partition]?.start ?? 0;
  let count = counts[partition] ?? 0;
  const passEach = (offsets: readonly { readonly offset: number }[]) => {
    for (const { offset } of offsets) {
      if (offset < from) continue;
      positions.pass(partition, offset, count);
      count++;
    }
  };
  if (records !== null) passEach(records);
  for (const batch of batches ?? []) {
    const { baseOffset, lastOffsetDelta } = batch.header;
    const isAmong = positions.next(partition) <= baseOffset + lastOffsetDelta;
    // Only a batch that holds a position, or the start of the log, must be decoded.
    if (isAmong) passEach(recordsOf(batch));
    else count += countFrom(batch, from);
  }
  counts[partition] = count;
}
