// A broker for Kafka clients, and the transport to it: TCP, or a WebSocket, which is the only difference.
import { KafkaBridge } from "../../../src/cli/kafka-bridge.ts";
import { kafkaSocketFactory } from "../../../src/kafkajs/socket-factory.ts";
import { Rivulet } from "../../../src/sdk/index.ts";
import { BrokerProcess } from "../broker.ts";
import type { Address } from "./client.ts";

export const TRANSPORTS = ["TCP", "a WebSocket"] as const;
export type Transport = (typeof TRANSPORTS)[number];

export class KafkaRig {
  readonly broker: BrokerProcess;
  readonly rivulet: Rivulet;
  readonly #bridge: KafkaBridge;
  #names = 0;

  private constructor(broker: BrokerProcess, bridge: KafkaBridge) {
    this.broker = broker;
    this.#bridge = bridge;
    this.rivulet = new Rivulet({ url: broker.url });
  }

  static async start(): Promise<KafkaRig> {
    process.env.KAFKAJS_NO_PARTITIONER_WARNING = "1";
    const broker = await BrokerProcess.start();
    const bridge = await KafkaBridge.start({
      url: broker.url,
      host: "127.0.0.1",
      port: 0,
      nodes: 1,
      advertise: null,
      onBroken: () => {},
    });
    return new KafkaRig(broker, bridge);
  }

  /** Over a WebSocket KafkaJS needs no bridge. */
  address(transport: Transport): Address {
    if (transport === "TCP") return { brokers: this.broker.kafka };
    const socketFactory = kafkaSocketFactory({ url: this.broker.url });
    return { brokers: this.#bridge.addresses.join(","), socketFactory };
  }

  async newTopic(partitions: number): Promise<string> {
    const name = this.newName();
    await this.rivulet.admin.createTopic({ name, partitions });
    return name;
  }

  newName(): string {
    return `kafka-${++this.#names}`;
  }

  async stop(): Promise<void> {
    await this.#bridge.stop();
    await this.broker.stop();
  }
}
