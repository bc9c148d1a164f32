// Without the clients there is nothing to test: reported once, before any test begins.
import { spawnSync } from "node:child_process";
import { PYTHON } from "./kafka-python.ts";
import { KCAT } from "./kcat.ts";
import { buildDrivers, missingTools } from "./toolchains.ts";

export default function setUp(): void {
  const missing = [
    ...(isThere(KCAT, "-V") ? [] : ["kcat is not on the PATH: `apt-get install kcat`"]),
    ...(isThere(PYTHON, "-c", "import kafka")
      ? []
      : [`${PYTHON} has no module kafka: \`apt-get install python3-kafka\``]),
    ...missingTools(),
  ];
  if (missing.length > 0) throw new Error(missing.join("; "));
  buildDrivers();
}

function isThere(command: string, ...args: string[]): boolean {
  return spawnSync(command, args, { stdio: "ignore" }).status === 0;
}
