// A broker of any release: its bundle on workerd, or the Worker of one release over the objects of another.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { dirname, join, relative } from "node:path";
import { workerdConfig } from "../../src/self-host/workerd-config.ts";
import { until } from "../support/until.ts";

/** Open connections would keep workerd from stopping. */
const STOP_GRACE_MS = 500;

export interface ReleaseBrokerOptions {
  readonly dataDir: string;
  /** The path of the Worker's bundle. */
  readonly bundle: string;
  /** The path of the objects' bundle, if it is not the Worker's. */
  readonly objectsBundle?: string;
  /** The ports of the previous broker, where clients continue. Free ones if missing. */
  readonly ports?: Ports;
}

export interface Ports {
  readonly http: number;
  readonly kafka: number;
}

/** Brokers must not outlive the process that started them. */
const running = new Set<ChildProcess>();
process.on("exit", killBrokers);

/** Stops brokers that a failed test has left behind. */
export function killBrokers(): void {
  for (const workerd of running) workerd.kill("SIGKILL");
}

export class ReleaseBroker {
  readonly ports: Ports;
  readonly dataDir: string;
  readonly #workerd: ChildProcess;
  readonly #exited: Promise<unknown>;
  #log = "";

  private constructor(options: ReleaseBrokerOptions, ports: Ports, configPath: string) {
    this.ports = ports;
    this.dataDir = options.dataDir;
    const require = createRequire(import.meta.url);
    const binary = join(dirname(require.resolve("workerd/package.json")), "bin/workerd");
    this.#workerd = spawn(binary, ["serve", configPath], { stdio: ["ignore", "pipe", "pipe"] });
    running.add(this.#workerd);
    for (const stream of [this.#workerd.stdout, this.#workerd.stderr])
      stream?.on("data", (data) => {
        this.#log += String(data);
      });
    this.#exited = new Promise((resolve) => this.#workerd.once("exit", resolve));
    void this.#exited.then(() => running.delete(this.#workerd));
  }

  static async start(options: ReleaseBrokerOptions): Promise<ReleaseBroker> {
    const { dataDir, bundle, objectsBundle } = options;
    const ports = options.ports ?? { http: await freePort(), kafka: await freePort() };
    const storagePath = join(dataDir, "objects");
    mkdirSync(storagePath, { recursive: true });
    const configPath = join(dataDir, "workerd.capnp");
    writeFileSync(
      configPath,
      workerdConfig({
        bundlePath: relative(dataDir, bundle),
        ...(objectsBundle === undefined
          ? {}
          : { objectsBundlePath: relative(dataDir, objectsBundle) }),
        storagePath,
        host: "127.0.0.1",
        port: ports.http,
        kafkaPorts: [ports.kafka],
        kafkaAdvertise: `127.0.0.1:${ports.kafka}`,
        autoCreateTopics: false,
        numPartitions: 1,
        trace: undefined,
        isOpen: true,
        variables: {},
      }),
    );
    const broker = new ReleaseBroker(options, ports, configPath);
    await until(`the broker answers: ${broker.log}`, () =>
      fetch(`${broker.url}/health`).then(
        (response) => response.ok,
        () => false,
      ),
    );
    return broker;
  }

  get url(): string {
    return `http://127.0.0.1:${this.ports.http}`;
  }

  /** `host:port` for Kafka clients. */
  get kafka(): string {
    return `127.0.0.1:${this.ports.kafka}`;
  }

  /** Everything that workerd has printed so far. */
  get log(): string {
    return this.#log;
  }

  async stop(): Promise<void> {
    this.#workerd.kill("SIGTERM");
    const timer = setTimeout(() => this.#workerd.kill("SIGKILL"), STOP_GRACE_MS);
    await this.#exited;
    clearTimeout(timer);
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" ? (address?.port ?? 0) : 0));
    });
  });
}
