// Without Debian's clients there is nothing to test: said once, before any test begins.
import { spawnSync } from "node:child_process";
import { PYTHON } from "./kafka-python.ts";
import { KCAT } from "./kcat.ts";

export default function setUp(): void {
  const missing = [
    ...(isThere(KCAT, "-V") ? [] : ["kcat is not on the PATH"]),
    ...(isThere(PYTHON, "-c", "import kafka") ? [] : [`${PYTHON} has no module kafka`]),
  ];
  if (missing.length > 0)
    throw new Error(`${missing.join(", ")}: \`apt-get install kcat python3-kafka\``);
}

function isThere(command: string, ...args: string[]): boolean {
  return spawnSync(command, args, { stdio: "ignore" }).status === 0;
}
