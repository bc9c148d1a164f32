// A broker of its own for each attack, with its memory watched from outside. Linux reports the process's memory, and the
// inspector V8's heap and its buffers.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { WebSocket } from "ws";
import { boundData } from "../../src/self-host/memory-bounds.ts";
import { workerdConfig } from "../../src/self-host/workerd-config.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const MIB = 1024 * 1024;
const SAMPLE_MS = 50;
/** Buffers are freed a round after the objects that had them. */
const GARBAGE_ROUNDS = 3;

/** Memory in MiB: of the process, of V8's heap, and of the buffers outside the heap. */
export interface Memory {
  readonly processMib: number;
  readonly heapMib: number;
  readonly buffersMib: number;
}

interface HeapUsage {
  readonly usedSize: number;
  readonly backingStorageSize?: number;
}

interface InspectorMessage {
  readonly id?: number;
  readonly result?: unknown;
  readonly method?: string;
  readonly params?: { readonly context?: { readonly uniqueId: string } };
}

export class WatchedBroker {
  readonly url: string;
  readonly port: number;
  readonly #child: ChildProcess;
  readonly #folder: string;
  readonly #inspector: WebSocket;
  readonly #answers = new Map<number, (result: unknown) => void>();
  #asked = 0;
  /** The Worker's context, in which the inspector evaluates. */
  #context = "";
  #hasEnded = false;
  #highestHeap = 0;
  #highestBuffers = 0;
  #sampler: ReturnType<typeof setInterval> | null = null;

  private constructor(child: ChildProcess, folder: string, port: number, inspector: WebSocket) {
    this.#child = child;
    this.#folder = folder;
    this.port = port;
    this.url = `http://127.0.0.1:${port}`;
    this.#inspector = inspector;
    child.once("exit", () => {
      this.#hasEnded = true;
      for (const resolve of this.#answers.values()) resolve(undefined);
    });
    inspector.on("message", (data) => {
      const { id, result, method, params } = JSON.parse(String(data)) as InspectorMessage;
      if (method === "Runtime.executionContextCreated")
        this.#context = params?.context?.uniqueId ?? "";
      if (id === undefined) return;
      this.#answers.get(id)?.(result);
      this.#answers.delete(id);
    });
    inspector.on("error", () => {}); // The process has ended, which the caller notices.
  }

  /**
   * `v8Flags`, and `dataMib` for all data of the process beyond what it starts with, limit it as an isolate is limited.
   */
  static async start(v8Flags: readonly string[], dataMib: number | null): Promise<WatchedBroker> {
    const folder = mkdtempSync(join(tmpdir(), "rivulet-attack-"));
    mkdirSync(join(folder, "objects"));
    const [port, kafkaPort, inspectorPort] = [await freePort(), await freePort(), await freePort()];
    const config = workerdConfig({
      bundlePath: relative(folder, join(ROOT, "dist/worker.js")),
      storagePath: join(folder, "objects"),
      host: "127.0.0.1",
      port,
      kafkaPorts: [kafkaPort],
      kafkaAdvertise: `127.0.0.1:${kafkaPort}`,
      autoCreateTopics: false,
      numPartitions: 1,
      trace: undefined,
      isOpen: true,
      variables: {},
      v8Flags: ["--expose-gc", ...v8Flags],
    });
    const configPath = join(folder, "workerd.capnp");
    writeFileSync(configPath, config);
    const require = createRequire(import.meta.url);
    const binary = join(dirname(require.resolve("workerd/package.json")), "bin/workerd");
    const child = spawn(
      binary,
      ["serve", `--inspector-addr=127.0.0.1:${inspectorPort}`, configPath],
      {
        stdio: ["ignore", "ignore", process.env.ATTACK_LOG ? "inherit" : "ignore"],
      },
    );
    const url = `http://127.0.0.1:${port}`;
    while (!(await answers(url))) await pause(20);
    if (dataMib !== null) boundData(child.pid as number, dataMib);
    const list = await (await fetch(`http://127.0.0.1:${inspectorPort}/json`)).json();
    const targets = list as { webSocketDebuggerUrl: string }[];
    const inspector = new WebSocket(targets[0]?.webSocketDebuggerUrl as string);
    await new Promise((resolve) => inspector.once("open", resolve));
    const broker = new WatchedBroker(child, folder, port, inspector);
    await broker.#ask("Runtime.enable");
    return broker;
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** Collects garbage, and returns the memory that is left. */
  async settled(): Promise<Memory> {
    for (let i = 0; i < GARBAGE_ROUNDS; i++) {
      await this.#ask("Runtime.evaluate", { expression: "gc()", uniqueContextId: this.#context });
      await pause(SAMPLE_MS);
    }
    const { heap, buffers } = await this.#usage();
    return memory(this.#status("VmRSS"), heap, buffers);
  }

  /** Begins to watch for the highest values. */
  watch(): void {
    if (!this.#hasEnded) writeFileSync(`/proc/${this.#child.pid}/clear_refs`, "5");
    this.#highestHeap = 0;
    this.#highestBuffers = 0;
    this.#sampler = setInterval(() => void this.#usage(), SAMPLE_MS);
  }

  /** Returns the highest values since `watch`. */
  highest(): Memory {
    clearInterval(this.#sampler ?? undefined);
    return memory(this.#status("VmHWM"), this.#highestHeap, this.#highestBuffers);
  }

  async stop(): Promise<void> {
    clearInterval(this.#sampler ?? undefined);
    this.#inspector.terminate();
    if (!this.#hasEnded) {
      const exited = new Promise((resolve) => this.#child.once("exit", resolve));
      this.#child.kill("SIGKILL");
      await exited;
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #usage(): Promise<{ heap: number; buffers: number }> {
    const usage = (await this.#ask("Runtime.getHeapUsage")) as HeapUsage | undefined;
    const heap = usage?.usedSize ?? 0;
    const buffers = usage?.backingStorageSize ?? 0;
    this.#highestHeap = Math.max(this.#highestHeap, heap);
    this.#highestBuffers = Math.max(this.#highestBuffers, buffers);
    return { heap, buffers };
  }

  #ask(method: string, params: object = {}): Promise<unknown> {
    if (this.#hasEnded) return Promise.resolve(undefined);
    const id = ++this.#asked;
    return new Promise((resolve) => {
      this.#answers.set(id, resolve);
      this.#inspector.send(JSON.stringify({ id, method, params }));
    });
  }

  /** Bytes. Zero if the process has ended. */
  #status(field: "VmRSS" | "VmHWM"): number {
    try {
      const status = readFileSync(`/proc/${this.#child.pid}/status`, "utf8");
      return 1_024 * Number(new RegExp(`^${field}:\\s+(\\d+)`, "m").exec(status)?.[1] ?? 0);
    } catch {
      return 0;
    }
  }
}

function memory(processBytes: number, heapBytes: number, bufferBytes: number): Memory {
  const [processMib, heapMib, buffersMib] = [processBytes, heapBytes, bufferBytes].map((bytes) =>
    Math.round(bytes / MIB),
  );
  return { processMib: processMib ?? 0, heapMib: heapMib ?? 0, buffersMib: buffersMib ?? 0 };
}

async function answers(url: string): Promise<boolean> {
  try {
    return (await fetch(`${url}/health`)).ok;
  } catch {
    return false;
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.listen(0, "127.0.0.1", () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === "object" ? (address?.port ?? 0) : 0));
    });
  });
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
