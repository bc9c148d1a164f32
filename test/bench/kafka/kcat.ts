// kcat: librdkafka in a process of its own, which reads lines from a file and writes its output to one.
import { spawn } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { versionOf } from "../sdk/server-process.ts";
import { Check, type Side, VALUE_BYTES } from "./side.ts";

const COMMAND = "kcat";

/** Null if it is not on PATH. */
export function startKcat(brokers: string, mostRecords: number): (Side & { stop(): void }) | null {
  if (versionOf(COMMAND, "-V") === null) return null;
  const folder = mkdtempSync(join(tmpdir(), "rivulet-bench-"));
  const input = join(folder, "input");
  const output = join(folder, "output");
  writeFileSync(input, `${"x".repeat(VALUE_BYTES)}\n`.repeat(mostRecords));
  return {
    name: "kcat",
    note: "over TCP, idempotent, else by its defaults: a process for each round, from its start to its end",
    produce: async (topic, records) => {
      const count = ["-c", String(records)];
      const properties = ["-X", "enable.idempotence=true"];
      await run(["-P", "-b", brokers, "-t", topic, ...properties, ...count, "-l", input]);
      return performance.now();
    },
    consume: async (topic, records) => {
      const shape = ["-q", "-f", "%o %S\\n", "-c", String(records)];
      const group = ["-X", "auto.offset.reset=earliest", "-G", `${topic}-kcat`, topic];
      await run(["-b", brokers, ...shape, ...group], output);
      const endMs = performance.now();
      const check = new Check();
      for (const line of readFileSync(output, "utf8").trimEnd().split("\n")) {
        const [offset = -1, size = -1] = line.split(" ").map(Number);
        check.take(offset, size);
      }
      if (check.count !== records) throw new Error(`kcat read ${check.count} records`);
      return endMs;
    },
    stop: () => rmSync(folder, { recursive: true }),
  };
}

async function run(args: readonly string[], output?: string): Promise<void> {
  const out = output === undefined ? null : openSync(output, "w");
  const child = spawn(COMMAND, args, { stdio: ["ignore", out ?? "ignore", "inherit"] });
  const code = await new Promise((resolve) => child.once("close", resolve));
  if (out !== null) closeSync(out);
  if (code !== 0) throw new Error(`kcat ended with ${code}`);
}
