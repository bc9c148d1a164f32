// A broker as a person runs it: `node src/self-host/start.ts` as a process of its own.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { secretWatch } from "../support/secret-watch.ts";

const START = fileURLToPath(new URL("../../src/self-host/start.ts", import.meta.url));

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export class BrokerProcess {
  readonly url: string;
  readonly dataDir: string;
  readonly exited: Promise<Exit>;
  readonly #child: ChildProcess;
  readonly #lines: string[];

  private constructor(
    child: ChildProcess,
    url: string,
    dataDir: string,
    lines: string[],
    exited: Promise<Exit>,
  ) {
    this.#child = child;
    this.url = url;
    this.dataDir = dataDir;
    this.#lines = lines;
    this.exited = exited;
  }

  /** Everything it has printed so far, standard output and standard error. */
  get lines(): readonly string[] {
    return this.#lines;
  }

  static async start(
    options: {
      dataDir?: string;
      port?: number;
      kafkaPort?: number;
      env?: Record<string, string>;
      /** The program of another tree. */
      program?: string;
    } = {},
  ): Promise<BrokerProcess> {
    const dataDir = options.dataDir ?? temporaryFolder();
    const env = {
      ...options.env,
      PORT: String(options.port ?? 0),
      KAFKA_PORT: String(options.kafkaPort ?? 0),
      DATA_DIR: dataDir,
    };
    const { child, lines, exited } = launch(env, options.program);
    const url = await new Promise<string>((resolve, reject) => {
      void exited.then(() => reject(new Error(`the broker ended: ${lines.join("\n")}`)));
      child.stdout?.on("data", () => {
        const ready = lines.join("\n").match(/Rivulet is ready on (\S+)/);
        if (ready?.[1] !== undefined) resolve(ready[1]);
      });
    });
    return new BrokerProcess(child, url, dataDir, lines, exited);
  }

  get pid(): number {
    return this.#child.pid as number;
  }

  get port(): number {
    return Number(new URL(this.url).port);
  }

  /** `host:port` for Kafka clients. */
  get kafka(): string {
    return /Kafka on ([^\s,]+)/.exec(this.#lines.join("\n"))?.[1] ?? "";
  }

  /** `kill -9`, with nothing of it left on the port. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.exited;
    while (await answers(this.url)) await new Promise((resolve) => setTimeout(resolve, 10));
  }

  signal(signal: NodeJS.Signals): Promise<Exit> {
    this.#child.kill(signal);
    return this.exited;
  }

  async stop(): Promise<void> {
    await this.signal("SIGTERM");
    rmSync(this.dataDir, { recursive: true, force: true });
  }
}

/** Brokers must not outlive the process that started them. */
const children = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of children) child.kill("SIGTERM");
});

/** Variables that are secrets. */
const SECRETS = ["RIVULET_ROOT_KEY", "RIVULET_ROOT_KEY_NEXT", "RIVULET_SIGNING_KEY"];

/** Starts it without waiting for anything: for starts that must fail. [APK-7] Its output is watched for secrets. */
export function launch(
  env: Record<string, string>,
  program: string = START,
): {
  child: ChildProcess;
  lines: string[];
  exited: Promise<Exit>;
} {
  const child = spawn(process.execPath, [program], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  children.add(child);
  child.once("exit", () => children.delete(child));
  const lines: string[] = [];
  for (const name of SECRETS) if (env[name]) secretWatch.keep(env[name]);
  secretWatch.watchOutput(lines);
  let rest = "";
  const collect = (data: Buffer) => {
    const parts = (rest + data.toString()).split("\n");
    rest = parts.pop() ?? "";
    lines.push(...parts);
  };
  // Registered first, so that every later listener finds the lines complete.
  child.stdout?.on("data", collect);
  child.stderr?.on("data", collect);
  const exited = new Promise<Exit>((resolve) =>
    child.once("close", (code, signal) => {
      if (rest !== "") lines.push(rest);
      resolve({ code, signal });
    }),
  );
  return { child, lines, exited };
}

export function temporaryFolder(): string {
  return mkdtempSync(join(tmpdir(), "rivulet-test-"));
}

async function answers(url: string): Promise<boolean> {
  try {
    await fetch(`${url}/health`);
    return true;
  } catch {
    return false;
  }
}
