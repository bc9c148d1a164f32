// One workerd with two Workers: the broker as `npm start` runs it, and the bare object beside it. Both have the same
// process, thread and disk.
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "../../src/self-host/build.ts";
import { v8FlagsOf } from "../../src/self-host/memory-bounds.ts";
import { COMPATIBILITY_DATE, workerdConfig } from "../../src/self-host/workerd-config.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

export interface Servers {
  readonly rivulet: string;
  readonly bare: string;
  /** The folder of the files of the broker's objects. */
  readonly folder: string;
  /** The number of starts of partition objects since, according to the trace. */
  partitionStarts(): number;
  stop(): Promise<void>;
}

export async function startServers(): Promise<Servers> {
  await build();
  const folder = mkdtempSync(join(tmpdir(), "rivulet-bench-"));
  mkdirSync(join(folder, "objects"));
  mkdirSync(join(folder, "bare"));
  const [port, barePort] = [await freePort(), await freePort()];
  const config = workerdConfig({
    bundlePath: relative(folder, join(ROOT, "dist/worker.js")),
    storagePath: join(folder, "objects"),
    host: "127.0.0.1",
    port,
    kafkaPorts: [await freePort()],
    kafkaAdvertise: "127.0.0.1:9092",
    autoCreateTopics: false,
    numPartitions: 1,
    trace: "1",
    v8Flags: v8FlagsOf(),
    isOpen: true,
    variables: {},
  });
  const barePath = relative(folder, join(ROOT, "test/bench/bare-object.js"));
  const bareServices = `
    (name = "bare", worker = (
      modules = [(name = "bare.js", esModule = embed ${JSON.stringify(barePath)})],
      compatibilityDate = ${JSON.stringify(COMPATIBILITY_DATE)},
      durableObjectNamespaces = [(className = "BareObject", uniqueKey = "bare", enableSql = true)],
      durableObjectStorage = (localDisk = "bare-storage"),
      bindings = [(name = "BARE", durableObjectNamespace = "BareObject")],
    )),
    (name = "bare-storage", disk = (path = ${JSON.stringify(join(folder, "bare"))}, writable = true)),`;
  const bareSocket = `(name = "bare", address = "127.0.0.1:${barePort}", http = (), service = "bare"),`;
  const configPath = join(folder, "workerd.capnp");
  writeFileSync(
    configPath,
    config
      .replace("services = [", `services = [${bareServices}`)
      .replace("sockets = [", `sockets = [${bareSocket}`),
  );
  const require = createRequire(import.meta.url);
  const binary = join(dirname(require.resolve("workerd/package.json")), "bin/workerd");
  const workerd = spawn(binary, ["serve", configPath], { stdio: ["ignore", "pipe", "inherit"] });
  let starts = 0;
  workerd.stdout.on("data", (data: Buffer) => {
    for (const line of data.toString().split("\n"))
      if (line.includes('"trace":"start"') && line.includes('"partition"')) starts++;
  });
  const rivulet = `http://127.0.0.1:${port}`;
  const bare = `http://127.0.0.1:${barePort}`;
  for (const url of [rivulet, bare]) await untilHealthy(url);
  return {
    rivulet,
    bare,
    folder,
    partitionStarts: () => starts,
    stop: async () => {
      const exited = new Promise((resolve) => workerd.once("exit", resolve));
      workerd.kill("SIGKILL");
      await exited;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

export function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.listen(0, "127.0.0.1", () => {
      const address = probe.address();
      probe.close(() =>
        resolve(typeof address === "object" && address !== null ? address.port : 0),
      );
    });
  });
}

async function untilHealthy(url: string): Promise<void> {
  for (;;) {
    try {
      if ((await fetch(`${url}/health`)).ok) return;
    } catch {
      // Not listening yet.
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
