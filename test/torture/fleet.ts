// The consumers, each a process with a slot that is filled again whenever its process ends.
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type HistoryWriter, historyPath } from "./history.ts";
import type { ConsumerArguments } from "./processes/consumer.ts";
import type { KafkaConsumerArguments } from "./processes/kafka-consumer.ts";
import type { PlainArguments } from "./processes/plain.ts";

type Own<T> = Omit<T, "folder" | "who">;

export type Post = { readonly name: string } & (
  | { readonly file: "consumer.ts"; readonly arguments: Own<ConsumerArguments> }
  | { readonly file: "kafka-consumer.ts"; readonly arguments: Own<KafkaConsumerArguments> }
  | { readonly file: "plain.ts"; readonly arguments: Own<PlainArguments> }
);

interface Worker {
  readonly post: Post;
  readonly who: string;
  readonly process: ChildProcess;
  isPaused: boolean;
}

/** One that ended by itself would only do so again at once, as a supervisor knows. */
const RESTART_BACKOFF_MS = 500;

/** Processes that must not outlive this one. */
const children = new Set<ChildProcess>();
process.on("exit", killAll);

function killAll(): void {
  for (const child of children) child.kill("SIGKILL");
}

/**
 * Runs a file of `processes` with arguments as JSON. Its output goes to a file. If it fails by itself, that is reported at
 * once. If it failed before it had written anything, the run would prove nothing, and ends.
 */
export function run(file: string, folder: string, who: string, own: object): ChildProcess {
  const path = fileURLToPath(new URL(`processes/${file}`, import.meta.url));
  const printedPath = join(folder, `${who}.txt`);
  const printed = openSync(printedPath, "a");
  const child = spawn(process.execPath, [path, JSON.stringify({ folder, who, ...own })], {
    stdio: ["ignore", printed, printed],
  });
  children.add(child);
  child.once("exit", (code) => {
    children.delete(child);
    if (code === 0 || code === null) return;
    const said = readFileSync(printedPath, "utf8").trimEnd();
    console.error(`${who} (${file}) ended by itself with exit code ${code}\n${said}`.trimEnd());
    if (existsSync(historyPath(folder, who))) return;
    console.error("It never began, so this run proves nothing.");
    process.exit(1);
  });
  return child;
}

export function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => child.once("exit", () => resolve()));
}

export class Fleet {
  readonly #folder: string;
  readonly #history: HistoryWriter;
  readonly #workers = new Map<string, Worker>();
  #processes = 0;
  #isEnding = false;

  constructor(folder: string, history: HistoryWriter, posts: readonly Post[]) {
    this.#folder = folder;
    this.#history = history;
    for (const post of posts) this.#fill(post);
  }

  /** The processes that a fault can hit, among those that the filter accepts. */
  candidates(filter: (post: Post) => boolean): string[] {
    return [...this.#workers.values()]
      .filter(({ post, isPaused }) => !isPaused && filter(post))
      .map(({ post }) => post.name);
  }

  signal(name: string, signal: "SIGKILL" | "SIGTERM"): void {
    const worker = this.#workers.get(name);
    if (worker === undefined) return;
    const kind = signal === "SIGKILL" ? "consumer kill" : "consumer stop";
    this.#history.write({ e: "fault", kind, target: worker.who });
    worker.process.kill(signal);
  }

  pause(name: string, forMs: number): void {
    const worker = this.#workers.get(name);
    if (worker === undefined) return;
    const { sessionTimeoutMs } = worker.post.arguments;
    const kind = forMs > sessionTimeoutMs ? "pause beyond the session" : "pause within the session";
    worker.isPaused = true;
    worker.process.kill("SIGSTOP");
    this.#history.write({ e: "fault", kind, target: worker.who });
    setTimeout(() => this.#wake(worker), forMs);
  }

  /** Everybody runs again; nobody is hit any more. */
  wakeAll(): void {
    for (const worker of this.#workers.values()) this.#wake(worker);
  }

  /** Ends everybody at once, whatever they are doing, including those that `run` has started. */
  kill(): void {
    this.#isEnding = true;
    killAll();
  }

  async end(): Promise<void> {
    this.#isEnding = true;
    const processes = [...this.#workers.values()].map((worker) => worker.process);
    for (const child of processes) child.kill("SIGTERM");
    await Promise.all(processes.map(ended));
  }

  #wake(worker: Worker): void {
    if (!worker.isPaused) return;
    worker.isPaused = false;
    worker.process.kill("SIGCONT");
  }

  #fill(post: Post): void {
    const who = `${post.name}.${this.#processes++}`;
    const child = run(post.file, this.#folder, who, post.arguments);
    this.#workers.set(post.name, { post, who, process: child, isPaused: false });
    child.once("exit", (code) => {
      if (this.#isEnding) return;
      if (code === 0 || code === null) this.#fill(post);
      else setTimeout(() => this.#isEnding || this.#fill(post), RESTART_BACKOFF_MS);
    });
  }
}
