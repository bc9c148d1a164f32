// The README's first minute, in the Node that runs this file: `npm start`, then produce and consume by the command line.
// It is JavaScript, because Node 20 cannot run TypeScript.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const isWindows = process.platform === "win32";
const dataDir = mkdtempSync(join(tmpdir(), "rivulet-smoke-"));
const broker = spawn("npm", ["start"], {
  env: { ...process.env, PORT: "0", KAFKA_PORT: "0", DATA_DIR: dataDir },
  stdio: ["ignore", "pipe", "inherit"],
  shell: isWindows, // npm is a command file there.
  detached: !isWindows, // Its process group gets the Ctrl-C.
});
const exited = once(broker, "close");

try {
  const url = await ready();
  const rivulet = (input, ...args) =>
    execFileSync(process.execPath, ["dist/rivulet.js", "--url", url, ...args], {
      input,
      encoding: "utf8",
    });
  rivulet("", "topics", "create", "smoke");
  rivulet("hello\nworld\n", "produce", "smoke");
  assert.equal(rivulet("", "consume", "smoke", "--exit"), "hello\nworld\n");
  assert.equal(rivulet("", "consume", "smoke", "--group", "g", "--max", "1"), "hello\n");
  stop();
  await exited;
  await assert.rejects(fetch(`${url}/health`), "the broker still answers");
  console.log(`Node ${process.versions.node} on ${process.platform}: produced and consumed`);
} finally {
  if (broker.exitCode === null && broker.signalCode === null) stop();
  await exited;
  rmSync(dataDir, { recursive: true, force: true });
}

/** Returns the broker's address once it is ready. */
function ready() {
  return new Promise((resolve, reject) => {
    let printed = "";
    broker.stdout.on("data", (data) => {
      printed += data;
      const [, url] = /Rivulet is ready on (\S+)/.exec(printed) ?? [];
      if (url !== undefined) resolve(url);
    });
    void exited.then(() => reject(new Error(`the broker ended: ${printed}`)));
  });
}

/** Stops npm and what it has started, as Ctrl-C does. */
function stop() {
  if (isWindows) execFileSync("taskkill", ["/pid", String(broker.pid), "/T", "/F"]);
  else process.kill(-broker.pid, "SIGINT");
}
