// Runs the blocks of a page in their order, as a reader would in one terminal: against one broker, in the repository's folder,
// with an empty HOME, and with what the blocks before have made and exported.
import { type ChildProcess, spawn } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import { until } from "../support/until.ts";
import { type Block, isOutput } from "./blocks.ts";

export const ROOT = fileURLToPath(new URL("../..", import.meta.url));
/** Programs lie in the tree, so that they import `rivulet` as a project does that has installed it. */
const PROGRAMS = join(ROOT, "dist/docs-programs");
const PATH = [dirname(process.execPath), join(ROOT, "node_modules/.bin"), process.env.PATH].join(
  delimiter,
);
/** A block that is not done by then never will be. */
const GUARD_MS = 90_000;
/** The addresses that the pages have. */
const HTTP = "127.0.0.1:8787";
const KAFKA = "127.0.0.1:9092";

/** The command that runs a program in each language. `DIR` is its folder. */
const PROGRAM_LANGUAGES: Readonly<Record<string, { file: string; run: string; with?: string[] }>> =
  {
    ts: {
      file: "program.mts",
      run: "node --no-warnings --experimental-eventsource DIR/program.mts",
    },
    js: {
      file: "program.mjs",
      run: "node --no-warnings --experimental-eventsource DIR/program.mjs",
    },
    python: { file: "program.py", run: "/usr/bin/python3 DIR/program.py" },
    go: {
      ...{ file: "main.go", run: "(cd DIR && go run .)" },
      with: ["test/kafka-clients/go/go.mod", "test/kafka-clients/go/go.sum"],
    },
    java: { file: "Program.java", run: 'java -cp "$KAFKA_CLASSPATH" DIR/Program.java' },
  };

/** The languages of blocks that are run. */
export const RUN = ["sh", ...Object.keys(PROGRAM_LANGUAGES)];

/** The addresses of the page's broker, as host and port. */
export interface Addresses {
  readonly http: string;
  readonly kafka: string;
}

export class PageRun {
  readonly #page: string;
  #addresses: Addresses;
  readonly #env: Readonly<Record<string, string>>;
  readonly #running = new Set<ChildProcess>();
  /** An empty HOME, whose file holds nothing that a page relies on. */
  readonly #home = mkdtempSync(join(tmpdir(), "rivulet-docs-"));

  /** `env` is what the page's tools need besides. */
  constructor(page: string, addresses: Addresses, env: Readonly<Record<string, string>> = {}) {
    this.#page = page;
    this.#addresses = addresses;
    this.#env = env;
  }

  /** Runs a block, and compares what it prints with what the page says. */
  async run(block: Block): Promise<void> {
    const { language, words, text } = block;
    if (words["not-run"] !== undefined) return;
    if (words.from !== undefined) return this.#compare(block, words.from);
    const command = language === "sh" ? text : this.#programOf(block);
    if (words.background !== undefined) return this.#start(block, command, words.background);
    const { child, output, exited } = this.#begin(command);
    // It ends by itself, or the page is wrong.
    const guard = setTimeout(() => process.kill(-(child.pid as number), "SIGKILL"), GUARD_MS);
    const code = await exited;
    clearTimeout(guard);
    const place = `${this.#page}:${block.line}`;
    expect(code, `${place}\n${text}\n${output.all}`).toBe(Number(words.exit ?? 0));
    // The SDK reports there what it handles by itself, and so what is wrong with a program. Java's clients log there.
    if (language === "ts" || language === "js") expect(output.errors, place).toBe("");
    if (block.output === undefined) return;
    const expected = this.#local(block.output);
    if (!isOutput(output.shown, expected)) expect(output.shown, place).toBe(expected);
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
    const [, http, kafka] = /ready on http:\/\/(\S+) \(Kafka on ([^\s,]+)/.exec(output.all) ?? [];
    if (block.words.broker === undefined) return;
    if (http === undefined || kafka === undefined) throw new Error(`${what}, but no addresses`);
    this.#addresses = { http, kafka };
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
    const program = PROGRAM_LANGUAGES[language];
    if (program === undefined) throw new Error(`${this.#page}:${line}: nothing runs ${language}`);
    const folder = join(PROGRAMS, this.#page.replace(/\W+/g, "-"), `line-${line}`);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, program.file), this.#local(text));
    for (const file of program.with ?? [])
      copyFileSync(join(ROOT, file), join(folder, basename(file)));
    return program.run.replaceAll("DIR", folder);
  }

  #local(text: string): string {
    return text.replaceAll(HTTP, this.#addresses.http).replaceAll(KAFKA, this.#addresses.kafka);
  }

  #begin(command: string) {
    const exported = join(this.#home, ".exported");
    const url = `http://${this.#addresses.http}`;
    const script = [
      `[ ! -f ${exported} ] || . ${exported}`,
      `export RIVULET_URL=${url}`,
      this.#local(command),
      `export -p > ${exported}`,
    ].join("\n");
    const child = spawn("bash", ["-e", "-o", "pipefail", "-c", script], {
      cwd: ROOT,
      env: {
        ...process.env,
        ...this.#env,
        PATH: [this.#env.PATH, PATH].filter((each) => each !== undefined).join(delimiter),
        HOME: this.#home,
        NO_COLOR: "1",
        // A broker that a block starts is another one, on ports that are free.
        ...{ PORT: "0", KAFKA_PORT: "0", DATA_DIR: join(this.#home, "data") },
      },
      stdio: ["ignore", "pipe", "pipe"],
      // Ctrl-C reaches all that it starts.
      detached: true,
    });
    const output = { shown: "", errors: "", all: "" };
    child.stdout.on("data", (data: Buffer) => {
      output.shown += data;
      output.all += data;
    });
    child.stderr.on("data", (data: Buffer) => {
      output.errors += data;
      output.all += data;
    });
    const exited = new Promise<number | null>((resolve) => child.once("close", resolve));
    return { child, output, exited };
  }
}
