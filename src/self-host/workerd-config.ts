// The workerd configuration of a self-hosted broker: the Worker and the five classes of wrangler.toml, with their storage in
// one folder.
import type { KafkaTls } from "./kafka-tls.ts";

/** The date in wrangler.toml, which test/unit/self-host/self-host.test.ts compares. */
export const COMPATIBILITY_DATE = "2026-11-01";
export const COMPATIBILITY_FLAGS = ["no_web_socket_compression"];

/** Persistent keys, from which workerd derives every object's id. Never change one. */
const UNIQUE_KEYS = {
  ClusterObject: "rivulet-cluster-v1",
  PartitionObject: "rivulet-partition-v1",
  GroupObject: "rivulet-group-v1",
  RelayObject: "rivulet-relay-v1",
  MetricsObject: "rivulet-metrics-v1",
} as const;

/**
 * [JWT-4] The networks from which the Worker may fetch. It fetches the key sets of issuers and nothing else, and only the
 * configuration says where they are. By default workerd reaches only public addresses, but many issuers are on the same
 * machine or network.
 */
const NETWORK = '(allow = ["public", "private", "local"], tlsOptions = (trustBrowserCas = true))';

export interface WorkerdOptions {
  /** Relative to the configuration file, as Cap'n Proto demands. */
  readonly bundlePath: string;
  /** The bundle of the objects, if it is not the Worker's but that of another release, as during an upgrade. */
  readonly objectsBundlePath?: string;
  readonly storagePath: string;
  readonly host: string;
  readonly port: number;
  /** One port for each node. */
  readonly kafkaPorts: readonly number[];
  /** The files with which Kafka's ports speak TLS, if they do. Their paths are relative, too. */
  readonly kafkaTls?: KafkaTls | null;
  /** The addresses that clients are given. See KAFKA_ADVERTISE in start.ts. */
  readonly kafkaAdvertise: string;
  /** The values of AUTO_CREATE_TOPICS_ENABLE and NUM_PARTITIONS. See src/worker/kafka/broker-config.ts. */
  readonly autoCreateTopics: boolean;
  readonly numPartitions: number;
  readonly trace: string | undefined;
  /** Flags for V8, as for tests with little memory. */
  readonly v8Flags?: readonly string[];
  /** True if every client that reaches the broker may do everything: see src/worker/access/mode.ts. */
  readonly isOpen: boolean;
  /** Variables that the Worker has under the same names. They are passed on if they are set. */
  readonly variables: Readonly<Record<string, string>>;
}

export function workerdConfig(options: WorkerdOptions): string {
  const text = JSON.stringify; // Cap'n Proto's text literals take JSON's escapes.
  const namespaces = Object.entries(UNIQUE_KEYS).map(
    ([className, uniqueKey]) =>
      `(className = ${text(className)}, uniqueKey = ${text(uniqueKey)}, enableSql = true)`,
  );
  const bindings: string[] = [];
  const files = `${options.storagePath}/rivulet-{object}-v1/{id}.sqlite`;
  bindings.push(`(name = "RIVULET_FILES", text = ${text(files)})`);
  bindings.push(`(name = "KAFKA_ADVERTISE", text = ${text(options.kafkaAdvertise)})`);
  bindings.push(`(name = "AUTO_CREATE_TOPICS_ENABLE", text = "${options.autoCreateTopics}")`);
  bindings.push(`(name = "NUM_PARTITIONS", text = "${options.numPartitions}")`);
  if (options.kafkaTls) bindings.push('(name = "RIVULET_KAFKA_TLS", text = "1")');
  if (options.isOpen) bindings.push('(name = "RIVULET_OPEN", text = "loopback")');
  for (const [name, value] of Object.entries(options.variables))
    bindings.push(`(name = ${text(name)}, text = ${text(value)})`);
  if (options.trace !== undefined)
    bindings.push(`(name = "RIVULET_TRACE", text = ${text(options.trace)})`);
  const host = options.host.includes(":") ? `[${options.host}]` : options.host;
  const address = `${host}:${options.port}`;
  const { kafkaTls } = options;
  const tcp = kafkaTls
    ? `tcp = (tlsOptions = (keypair = (privateKey = embed ${text(kafkaTls.keyPath)}, certificateChain = embed ${text(kafkaTls.certPath)})))`
    : "tcp = ()";
  const kafkaSockets = options.kafkaPorts.map(
    (port, node) =>
      `    (name = "kafka${node}", address = ${text(`${host}:${port}`)}, ${tcp}, service = "rivulet"),`,
  );
  const objects = `
      durableObjectNamespaces = [${namespaces.join(", ")}],
      durableObjectStorage = (localDisk = "storage"),`;
  const service = (name: string, bundlePath: string, own: string, namespaceOf: NamespaceOf) =>
    `    (name = ${text(name)}, worker = (
      modules = [(name = "worker.js", esModule = embed ${text(bundlePath)})],
      compatibilityDate = ${text(COMPATIBILITY_DATE)},
      compatibilityFlags = [${COMPATIBILITY_FLAGS.map((flag) => text(flag)).join(", ")}],${own}
      bindings = [${[...namespaceBindings(namespaceOf), ...bindings].join(", ")}],
    )),`;
  const own: NamespaceOf = (className) => text(className);
  const ofObjects: NamespaceOf = (className) =>
    `(className = ${text(className)}, serviceName = "objects")`;
  const { bundlePath, objectsBundlePath, v8Flags = [] } = options;
  const services =
    objectsBundlePath === undefined
      ? [service("rivulet", bundlePath, objects, own)]
      : [
          service("rivulet", bundlePath, "", ofObjects),
          service("objects", objectsBundlePath, objects, own),
        ];
  return `using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (${v8Flags.length === 0 ? "" : `\n  v8Flags = [${v8Flags.map((flag) => text(flag)).join(", ")}],`}
  services = [
${services.join("\n")}
    (name = "internet", network = ${NETWORK}),
    (name = "storage", disk = (path = ${text(options.storagePath)}, writable = true)),
  ],
  sockets = [
    (name = "http", address = ${text(address)}, http = (), service = "rivulet"),
${kafkaSockets.join("\n")}
  ],
);
`;
}

/** Returns the namespace of a class, as a binding names it. */
type NamespaceOf = (className: string) => string;

function namespaceBindings(namespaceOf: NamespaceOf): string[] {
  return Object.keys(UNIQUE_KEYS).map((className) => {
    const name = className.replace("Object", "").toUpperCase();
    return `(name = ${JSON.stringify(name)}, durableObjectNamespace = ${namespaceOf(className)})`;
  });
}
