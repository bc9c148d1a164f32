// A broker, and the routes to it: its own TCP port, and `rivulet kafka-bridge` as a person starts it, with one node and with
// three.
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { BrokerProcess } from "../e2e/broker.ts";

const CLI = fileURLToPath(new URL("../../dist/rivulet.js", import.meta.url));

/** The number of nodes that a client finds. */
const NODES = { TCP: 1, "a bridge": 1, "a bridge with three nodes": 3 } as const;
export type Way = keyof typeof NODES;
export const WAYS = Object.keys(NODES) as Way[];

/** It has the features of each other route, so that not every client need show them. */
export const BETWEEN: Way = "a bridge";

export class Ways {
  readonly #broker: BrokerProcess;
  readonly #bridges: ReadonlyMap<Way, Bridge>;

  private constructor(broker: BrokerProcess, bridges: ReadonlyMap<Way, Bridge>) {
    this.#broker = broker;
    this.#bridges = bridges;
  }

  /** The bridges send no token: at a closed broker each client must authenticate. */
  static async start(env: Record<string, string> = {}): Promise<Ways> {
    const broker = await BrokerProcess.start({ env });
    const bridges = new Map<Way, Bridge>();
    for (const way of WAYS.filter((each) => each !== "TCP"))
      bridges.set(way, await startBridge(broker.url, NODES[way]));
    return new Ways(broker, bridges);
  }

  get url(): string {
    return this.#broker.url;
  }

  /** `host:port` of each node. */
  nodes(way: Way): string[] {
    return (this.#bridges.get(way)?.addresses ?? this.#broker.kafka).split(",");
  }

  brokers(way: Way): string {
    return this.nodes(way).join(",");
  }

  /** The output of the broker or, if there is one, of the bridge. */
  log(way: Way): string {
    return this.#bridges.get(way)?.log() ?? this.#broker.lines.join("\n");
  }

  async stop(): Promise<void> {
    for (const bridge of this.#bridges.values()) await bridge.stop();
    await this.#broker.stop();
  }
}

interface Bridge {
  readonly addresses: string;
  log(): string;
  stop(): Promise<void>;
}

function startBridge(url: string, nodes: number): Promise<Bridge> {
  const args = [CLI, "--url", url, "kafka-bridge", "--port", "0", "--nodes", String(nodes)];
  // The person who runs the tests may have a token.
  const env = {
    ...process.env,
    RIVULET_TOKEN: "",
    RIVULET_CONFIG: "",
    XDG_CONFIG_HOME: "/nowhere",
  };
  const child = spawn(process.execPath, args, { env, stdio: ["ignore", "pipe", "pipe"] });
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
  return new Promise((resolve, reject) => {
    let text = "";
    child.stderr.on("data", (data) => {
      text += data;
    });
    child.stdout.on("data", (data) => {
      text += data;
      const addresses = / on (\S+)\n/.exec(text)?.[1];
      if (addresses === undefined) return;
      const stop = async () => {
        child.kill("SIGTERM");
        await ended;
      };
      resolve({ addresses, log: () => text, stop });
    });
    void ended.then((code) => reject(new Error(`the bridge ended with ${code}: ${text}`)));
  });
}
