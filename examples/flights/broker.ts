// A broker of the demo's own, on a free port, with its data in a temporary folder.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const START = fileURLToPath(new URL("../../src/self-host/start.ts", import.meta.url));

export interface Broker {
  readonly url: string;
  stop(): Promise<void>;
}

export async function startBroker(): Promise<Broker> {
  const dataDir = mkdtempSync(join(tmpdir(), "rivulet-demo-"));
  const child = spawn(process.execPath, [START], {
    env: { ...process.env, PORT: "0", DATA_DIR: dataDir },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  return {
    url: await readyUrl(child),
    stop: async () => {
      child.kill("SIGTERM");
      await exited;
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

function readyUrl(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    child.once("exit", () => reject(new Error("the broker did not start")));
    if (child.stdout === null) return;
    createInterface(child.stdout).on("line", (line) => {
      const url = line.match(/ready on (\S+)/)?.[1];
      if (url !== undefined) resolve(url);
    });
  });
}
