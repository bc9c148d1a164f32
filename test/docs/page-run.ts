// Runs the blocks of a page in their order, as a reader would: against one broker, in one folder of the repository, with
// nothing but what the blocks before have made.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import { until } from "../support/until.ts";
import { type Block, outputPattern } from "./blocks.ts";

export const ROOT = fileURLToPath(new URL("../..", import.meta.url));
/** Programs lie in the tree, so that they import `rivulet` as a project does that has installed it. */
const PROGRAMS = join(ROOT, "dist/docs-programs");
const PATH = [dirname(process.execPath), join(ROOT, "node_modules/.bin"), process.env.PATH].join(
  delimiter,
);
/** The addresses that the pages have. */
const HTTP = "127.0.0.1:8787";
const KAFKA = "127.0.0.1:9092";

/** Where the page's broker listens, as host and port. */
export interface Addresses {
  readonly http: string;
  readonly kafka: string;
}

export class PageRun {
  readonly #page: string;
  readonly #addresses: Addresses;
  readonly #running = new Set<ChildProcess>();
  /** An empty HOME, whose file holds nothing that a page relies on. */
  readonly #home = mkdtempSync(join(tmpdir(), "rivulet-docs-"));

  constructor(page: string, addresses: Addresses) {
    this.#page = page;
    this.#addresses = addresses;
  }

  /** Runs a block, and compares what it prints with what the page says. */
  async run(block: Block): Promise<void> {
    const { language, words, text } = block;
    if (words["not-run"] !== undefined) return;
    if (words.from !== undefined) return this.#compare(block, words.from);
    const command = language === "sh" ? text : this.#programOf(block);
    if (words.background !== undefined) return this.#start(block, command, words.background);
    const { output, exited } = this.#begin(command);
    const code = await exited;
    const place = `${this.#page}:${block.line}`;
    expect(code, `${place}\n${text}\n${output.all}`).toBe(Number(words.exit ?? 0));
    if (block.output === undefined) return;
    expect(`${output.shown.trim()}\n`, place).toMatch(outputPattern(this.#local(block.output)));
  }

  /** Stops what is left running, as Ctrl-C does, and removes what the page has made. */
  async end(): Promise<void> {
    for (const child of this.#running) {
      if (child.exitCode !== null || child.pid === undefined) continue;
      const exited = new Promise((resolve) => child.once("close", resolve));
      process.kill(-child.pid, "SIGINT");
      await exited;
    }
    rmSync(this.#home, { recursive: true, force: true });
  }

  async #start(block: Block, command: string, ready: string): Promise<void> {
    const { child, output } = this.#begin(command);
    this.#running.add(child);
    const what = `${this.#page}:${block.line} prints "${ready}"`;
    const isReady = () => output.all.includes(ready);
    await until(what, () => isReady() || child.exitCode !== null, 120_000);
    expect(isReady(), `${what}\n${output.all}`).toBe(true);
  }

  /** An excerpt: each of its lines stands in the file, in this order, one behind another. */
  #compare({ text, line }: Block, file: string): void {
    const plain = (code: string) =>
      code
        .split("\n")
        .map((each) => each.trim())
        .join("\n")
        .trim();
    const source = readFileSync(join(ROOT, file), "utf8");
    expect(plain(source), `${this.#page}:${line} and ${file}`).toContain(plain(text));
  }

  #programOf({ language, text, line }: Block): string {
    const folder = join(PROGRAMS, this.#page.replace(/\W+/g, "-"));
    mkdirSync(folder, { recursive: true });
    const file = join(folder, `line-${line}.${language === "js" ? "mjs" : "mts"}`);
    writeFileSync(file, this.#local(text));
    return `node --no-warnings --experimental-eventsource ${JSON.stringify(file)}`;
  }

  #local(text: string): string {
    return text.replaceAll(HTTP, this.#addresses.http).replaceAll(KAFKA, this.#addresses.kafka);
  }

  #begin(command: string) {
    const child = spawn("bash", ["-e", "-o", "pipefail", "-c", this.#local(command)], {
      cwd: ROOT,
      env: {
        ...process.env,
        PATH,
        HOME: this.#home,
        NO_COLOR: "1",
        RIVULET_URL: `http://${this.#addresses.http}`,
        // A broker that a block starts is another one, on ports that are free.
        ...{ PORT: "0", KAFKA_PORT: "0", DATA_DIR: join(this.#home, "data") },
      },
      stdio: ["ignore", "pipe", "pipe"],
      // Ctrl-C reaches all that it starts.
      detached: true,
    });
    const output = { shown: "", all: "" };
    child.stdout.on("data", (data: Buffer) => {
      output.shown += data;
      output.all += data;
    });
    child.stderr.on("data", (data: Buffer) => {
      output.all += data;
    });
    const exited = new Promise<number | null>((resolve) => child.once("close", resolve));
    return { child, output, exited };
  }
}
