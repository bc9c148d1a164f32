import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const DEMO = fileURLToPath(new URL("../../examples/flights/demo.ts", import.meta.url));

test("[SYS-4] the demo kills and adds consumers and ends with the file's totals", async () => {
  const child = spawn(process.execPath, [DEMO], { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (data) => {
      output += data;
    });
  }
  const code = await new Promise((resolve) => child.once("close", resolve));
  expect(code, output).toBe(0);
  expect(output).toMatch(/worker-2 is killed[\s\S]*worker-4 joins[\s\S]*worker-4: \d/);
  expect(output).toContain("20000 flights: the totals of both groups equal the file's.");
});
