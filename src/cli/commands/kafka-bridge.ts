// rivulet kafka-bridge: serves Kafka clients over TCP on this machine for a broker anywhere.
import { once } from "node:events";
import { MAX_KAFKA_NODES, MAX_PORT, parseAddresses } from "../../protocol/node-addresses.ts";
import { BrokerError } from "../../sdk/index.ts";
import { listed } from "../answer.ts";
import type { Command } from "../command.ts";
import { connect, type GlobalOptions, UsageError } from "../context.ts";
import { KafkaBridge } from "../kafka-bridge.ts";
import { parseWholeNumber, positiveNumber } from "../options.ts";
import { note } from "../plain.ts";
import { stopSignal } from "../stop.ts";

const DEFAULT_PORT = 9092;

interface Options {
  readonly host: string;
  readonly port: number;
  readonly nodes: number;
  readonly advertise?: string;
}

export function addKafkaBridge(program: Command): void {
  program
    .command("kafka-bridge")
    .summary("let Kafka clients reach the broker through this machine")
    .description(
      "Listens for Kafka clients on this machine, and carries their connections to the broker over WebSockets, until Ctrl-C.",
    )
    .seeAlso("config show")
    .option("--host <address>", "listen on this address", "127.0.0.1")
    .option(
      "-p, --port <number>",
      "listen on this port, 0 for a free one",
      parseWholeNumber,
      DEFAULT_PORT,
    )
    .option(
      "--nodes <count>",
      "present the broker as so many nodes, each on the next port; clients open a connection to each",
      positiveNumber,
      1,
    )
    .option(
      "--advertise <addresses>",
      "the host:port[,…] at which clients find the nodes (default: where it listens)",
    )
    .examples(
      "rivulet --url https://rivulet.example.com kafka-bridge",
      "rivulet kafka-bridge --nodes 3 --advertise b0:9092,b1:9092,b2:9092 --host 0.0.0.0",
    )
    .action(async (options: Options, command: Command) => {
      const global = command.optsWithGlobals<GlobalOptions>();
      const { url, token, quiet } = global;
      const advertise = advertisedIn(options);
      await assertThere(global); // A missing broker is an error now, not at the first client.
      const bridge = await KafkaBridge.start({
        ...options,
        url,
        token,
        advertise,
        onBroken: (reason) => {
          if (!quiet) note(`# ${reason}`);
        },
      });
      const signal = stopSignal(); // It listens for the signal before it says that it is ready, so that its reader can stop it.
      process.stdout.write(`Kafka clients find ${url} on ${bridge.addresses.join(",")}\n`);
      if (!signal.aborted) await once(signal, "abort");
      await bridge.stop();
    });
}

/**
 * Throws if the broker does not answer, or does not accept the token. Without a token, a closed broker is no error:
 * each client signs in for itself.
 */
async function assertThere(global: GlobalOptions): Promise<void> {
  try {
    listed(await connect(global).admin.listTopics(), "topics");
  } catch (error) {
    const isClosed = error instanceof BrokerError && error.code === "SASL_AUTHENTICATION_FAILED";
    if (!isClosed || global.token !== undefined) throw error;
  }
}

/** Returns the addresses to advertise, or null for those on which the bridge listens. @throws UsageError */
function advertisedIn({ port, nodes, advertise }: Options): string[] | null {
  if (nodes > MAX_KAFKA_NODES)
    throw new UsageError(`--nodes: must be a number from 1 to ${MAX_KAFKA_NODES}; got ${nodes}`);
  if (port > MAX_PORT)
    throw new UsageError(`--port: must be a number from 0 to ${MAX_PORT}; got ${port}`);
  const last = port + nodes - 1;
  if (port !== 0 && last > MAX_PORT)
    throw new UsageError(
      `--nodes ${nodes} from --port ${port} on: the last port would be ${last}, the highest is ${MAX_PORT}`,
    );
  if (advertise === undefined) return null;
  const addresses = advertise.split(",").map((each) => each.trim());
  if (addresses.length !== nodes)
    throw new UsageError(`--advertise: names ${addresses.length} nodes, --nodes ${nodes}`);
  try {
    parseAddresses("--advertise", advertise);
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  return addresses;
}
