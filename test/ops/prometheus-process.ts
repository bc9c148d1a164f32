// A Prometheus of its own for a test, and its HTTP API.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "../support/until.ts";

export const MISSING =
  spawnSync("prometheus", ["--version"], { stdio: "ignore" }).status === 0 &&
  spawnSync("promtool", ["--version"], { stdio: "ignore" }).status === 0
    ? null
    : "prometheus and promtool are not on the PATH: `apt-get install prometheus`";

export interface Queried {
  readonly metric: Readonly<Record<string, string>>;
  /** The time in seconds, and the value as a text. */
  readonly value: readonly [number, string];
}

export interface Scraped {
  readonly scrapePool: string;
  readonly health: string;
  readonly lastError: string;
}

export class Prometheus {
  readonly #url: string;
  readonly #process: ChildProcess;
  readonly #folder: string;

  private constructor(url: string, child: ChildProcess, folder: string) {
    this.#url = url;
    this.#process = child;
    this.#folder = folder;
  }

  /** `jobs` are paths of the target by the names of their jobs. Each is scraped every second. */
  static async start(target: string, jobs: Readonly<Record<string, string>>): Promise<Prometheus> {
    const folder = mkdtempSync(join(tmpdir(), "rivulet-prometheus-"));
    const configs = Object.entries(jobs).map(([job_name, metrics_path]) => ({
      job_name,
      metrics_path,
      scrape_interval: "1s",
      scrape_timeout: "1s",
      static_configs: [{ targets: [target] }],
    }));
    // JSON is YAML.
    writeFileSync(join(folder, "config.yml"), JSON.stringify({ scrape_configs: configs }));
    const address = `127.0.0.1:${await freePort()}`;
    const child = spawn(
      "prometheus",
      [
        `--config.file=${join(folder, "config.yml")}`,
        `--storage.tsdb.path=${join(folder, "data")}`,
        `--web.listen-address=${address}`,
        "--log.level=warn",
      ],
      { stdio: ["ignore", "ignore", "inherit"] },
    );
    const prometheus = new Prometheus(`http://${address}`, child, folder);
    await until("Prometheus is ready", () => prometheus.#isReady());
    return prometheus;
  }

  async #isReady(): Promise<boolean> {
    if (this.#process.exitCode !== null) throw new Error("Prometheus has ended.");
    return await fetch(`${this.#url}/-/ready`).then(
      ({ ok }) => ok,
      () => false,
    );
  }

  /** Returns the `data` of a response. @throws Error with the response's text if Prometheus rejects the query */
  async ask(path: string, parameters: Readonly<Record<string, string>> = {}): Promise<unknown> {
    const response = await fetch(`${this.#url}/api/v1/${path}?${new URLSearchParams(parameters)}`);
    const body = (await response.json()) as { status: string; data: unknown; error?: string };
    if (body.status !== "success") throw new Error(`${parameters.query}: ${body.error}`);
    return body.data;
  }

  async query(query: string): Promise<readonly Queried[]> {
    const { result } = (await this.ask("query", { query })) as { result: readonly Queried[] };
    return result;
  }

  async targets(): Promise<readonly Scraped[]> {
    const { activeTargets } = (await this.ask("targets")) as { activeTargets: readonly Scraped[] };
    return activeTargets;
  }

  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.#process.once("exit", resolve));
    this.#process.kill("SIGTERM");
    await ended;
    rmSync(this.#folder, { recursive: true });
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.listen(0, "127.0.0.1", () => {
      const { port } = probe.address() as { port: number };
      probe.close(() => resolve(port));
    });
  });
}
