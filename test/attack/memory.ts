// `npm run attack:memory [-- TEXT] [-- --tight]`: attacks on a broker's memory, each on a broker of its own. It prints the
// memory of the process, V8's heap and its buffers before, at most, and after. TEXT selects attacks by name. `--tight` gives
// the broker 64 MiB of heap, and 448 MiB of data (the heap included) beyond what it starts with.
import { printTable } from "../bench/report.ts";
import { ATTACKS } from "./attacks.ts";
import { type Memory, WatchedBroker } from "./watched-broker.ts";

const TIGHT_FLAGS = ["--max-heap-size=64"];
/** The heap, 128 MiB of buffers, and what SQLite takes outside both: four MiB for each partition. */
const TIGHT_DATA_MIB = 448;
/** The time after an attack after which its clients are certainly gone. */
const SETTLE_MS = 2_000;

const args = process.argv.slice(2);
const isTight = args.includes("--tight");
const text = args.find((arg) => !arg.startsWith("--")) ?? "";
const rows: string[][] = [];
let hasDied = false;
for (const { name, run } of ATTACKS.filter((attack) => attack.name.includes(text))) {
  const broker = await WatchedBroker.start(
    isTight ? TIGHT_FLAGS : [],
    isTight ? TIGHT_DATA_MIB : null,
  );
  try {
    const before = await broker.settled();
    broker.watch();
    const { outcome, end } = await run(broker.url, broker.port).catch((error: unknown) => ({
      outcome: `broke off: ${error}`,
      end: () => {},
    }));
    const highest = broker.highest();
    end();
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    const after = await broker.settled();
    hasDied ||= broker.hasEnded;
    const said = broker.hasEnded ? `workerd died; ${outcome}` : outcome;
    rows.push([name, textOf(before), textOf(highest), textOf(after), said]);
    process.stderr.write(`${rows.at(-1)?.join(" | ")}\n`);
  } finally {
    await broker.stop();
  }
}
console.log("MiB of the process / V8's heap / its buffers\n");
printTable(["attack", "before", "highest", "after", "outcome"], rows);
process.exit(hasDied ? 1 : 0);

function textOf({ processMib, heapMib, buffersMib }: Memory): string {
  return `${processMib} / ${heapMib} / ${buffersMib}`;
}
