// rivulet kafka-bridge: serves Kafka's clients over TCP on this machine, wherever the broker is.
import { once } from "node:events";
import type { Command } from "commander";
import { connect, examples, type GlobalOptions, UsageError } from "../context.ts";
import { KafkaBridge } from "../kafka-bridge.ts";
import { stopSignal } from "../stop.ts";
import { positiveNumber, wholeNumber } from "./topics.ts";

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
    .description(
      "listen for Kafka clients here, and carry their connections to the broker as WebSockets",
    )
    .option("--host <address>", "listen on this address", "127.0.0.1")
    .option(
      "-p, --port <number>",
      "listen on this port, 0 for a free one",
      wholeNumber,
      DEFAULT_PORT,
    )
    .option(
      "--nodes <count>",
      "present the broker as so many nodes, each on the port after: clients open a connection to each",
      positiveNumber,
      1,
    )
    .option(
      "--advertise <addresses>",
      "host:port[,…] by which clients find the nodes, if not by these",
    )
    .addHelpText(
      "after",
      examples(
        "rivulet --url https://rivulet.example.com kafka-bridge",
        "rivulet kafka-bridge --nodes 3 --advertise b0:9092,b1:9092,b2:9092 --host 0.0.0.0",
      ),
    )
    .action(async (options: Options, command: Command) => {
      const global = command.optsWithGlobals<GlobalOptions>();
      const { url, token, quiet } = global;
      const advertise = options.advertise?.split(",") ?? null;
      if (advertise !== null && advertise.length !== options.nodes)
        throw new UsageError(
          `--advertise: names ${advertise.length} nodes, --nodes ${options.nodes}`,
        );
      await connect(global).admin.listTopics(); // If it is not there, that is an error now.
      const bridge = await KafkaBridge.start({
        ...options,
        url,
        token,
        advertise,
        onBroken: (reason) => {
          if (!quiet) process.stderr.write(`# ${reason}\n`);
        },
      });
      process.stdout.write(`Kafka clients find ${url} on ${bridge.addresses.join(",")}\n`);
      const signal = stopSignal();
      if (!signal.aborted) await once(signal, "abort");
      await bridge.stop();
    });
}
