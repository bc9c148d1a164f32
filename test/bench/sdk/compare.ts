// Measures the sides in turns and reports the ratio of Rivulet to each of the others.
import { spawnSync } from "node:child_process";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { median, printTable, ratios, round } from "../report.ts";
import type { Side, SideName } from "./side.ts";

export const ROUNDS = 5;
const PEERS = ["redis", "jetstream"] as const;

export interface Aims {
  readonly redis: string;
  readonly jetstream: string;
}

/** Something to compare: the results of each side in each round, all sides in the same order of rounds. */
export interface Comparison {
  readonly name: string;
  readonly unit: string;
  readonly aims: Aims;
  readonly measured: ReadonlyMap<SideName, readonly number[]>;
}

/** Every side once a round; the first one alternates. */
export async function inTurns<AnySide>(
  sides: readonly AnySide[],
  measure: (side: AnySide) => Promise<void>,
): Promise<void> {
  for (let i = 0; i < ROUNDS; i++) {
    const first = i % sides.length;
    for (const side of [...sides.slice(first), ...sides.slice(0, first)]) {
      cleanUp();
      await measure(side);
    }
  }
}

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

/** The leftovers of one side, garbage here and pages to be written to disk, do not burden the next. */
function cleanUp(): void {
  collectGarbage();
  spawnSync("sync");
}

/** Collects what `inTurns` measures. */
export class Measured extends Map<SideName, number[]> {
  add(side: Side, value: number): void {
    const values = this.get(side.name);
    if (values === undefined) this.set(side.name, [value]);
    else values.push(value);
  }
}

export function printComparisons(title: string, comparisons: readonly Comparison[]): void {
  const sides = [...(comparisons[0]?.measured.keys() ?? [])];
  const names = (["rivulet", ...PEERS] as const).filter((name) => sides.includes(name));
  const peers = PEERS.filter((name) => sides.includes(name));
  console.log(`${title}\n`);
  printTable(
    ["what", ...names, "unit", ...peers.flatMap((name) => [`rivulet / ${name}`, "aim"])],
    comparisons.map(({ name, unit, aims, measured }) => [
      name,
      ...names.map((side) => round(median(measured.get(side) ?? []))),
      unit,
      ...peers.flatMap((peer) => [
        ratios(measured.get("rivulet") ?? [], measured.get(peer) ?? []),
        aims[peer],
      ]),
    ]),
  );
}
