// The areas of the code, the tests that stand for each, and the share of mutants that they have to find.

export interface Stage {
  readonly project: "core" | "workers" | "e2e";
  /** File names without `.test.ts`. */
  readonly tests: readonly string[];
}

export interface Area {
  readonly name: string;
  /** Beginnings of the paths of its files. */
  readonly files: readonly string[];
  /** They run one after another until one finds the mutant, so the cheapest comes first. */
  readonly stages: readonly Stage[];
  /** The share of mutants that the tests have to find, from 0 to 1. */
  readonly aim: number;
}

const CORE_AIM = 0.9;
const AIM = 0.8;

const core = (...tests: string[]): Stage => ({ project: "core", tests });
const workers = (...tests: string[]): Stage => ({ project: "workers", tests });
const e2e = (...tests: string[]): Stage => ({ project: "e2e", tests });

export const AREAS: readonly Area[] = [
  {
    name: "classic groups",
    files: ["src/core/group/classic"],
    stages: [
      core(
        "classic-group",
        "classic-phases",
        "classic-static",
        "classic-model",
        "admission",
        "describe-group",
        "group-history",
      ),
      workers("kafka-groups", "group-admission"),
    ],
    aim: CORE_AIM,
  },
  {
    name: "coordinator",
    files: [
      "src/core/group/admission.ts",
      "src/core/group/assignor",
      "src/core/group/config.ts",
      "src/core/group/coordinator.ts",
      "src/core/group/describe.ts",
      "src/core/group/heartbeat.ts",
      "src/core/group/history.ts",
      "src/core/group/offsets.ts",
      "src/core/group/partition-key.ts",
      "src/core/group/reconcile.ts",
      "src/core/group/state.ts",
      "src/core/group/topic-pattern.ts",
    ],
    stages: [
      core(
        "coordinator",
        "heartbeat",
        "polling-members",
        "group-life",
        "group-positions",
        "admission",
        "group-history",
        "group-config",
        "describe-group",
        "uniform",
        "range",
      ),
      workers("kafka-groups", "group-object", "group-admission", "group-config"),
    ],
    aim: CORE_AIM,
  },
  {
    name: "log",
    files: ["src/core/log", "src/core/conditional-append.ts", "src/core/record.ts"],
    stages: [
      core(
        "produce-plan",
        "chunks",
        "damage",
        "log-costs",
        "log-model",
        "log-store",
        "partition-log",
        "producers",
        "record-batch",
        "repeats",
        "retention",
        "tail-cache",
        "tail-reader",
        "timestamps",
        "validate-append",
        "compaction-state",
        "compaction",
        "interop",
      ),
      workers("partition-object", "repeats", "compaction", "damage"),
    ],
    aim: CORE_AIM,
  },
  {
    name: "the rest of the core",
    files: [
      "src/core/bytes.ts",
      "src/core/cluster",
      "src/core/config-table.ts",
      "src/core/duration.ts",
      "src/core/elapsed.ts",
      "src/core/error-descriptions.ts",
      "src/core/errors.ts",
      "src/core/ledger.ts",
      "src/core/limits.ts",
      "src/core/map-concurrently.ts",
      "src/core/partitioner.ts",
      "src/core/platform-errors.ts",
      "src/core/produce-plan.ts",
      "src/core/text-hash.ts",
    ],
    stages: [
      core(
        "names",
        "errors",
        "produce-plan",
        "config",
        "elapsed",
        "ledger",
        "limits",
        "partitioner",
        "platform-errors",
        "identity",
        "types",
      ),
      workers("cluster-object", "http", "bounds", "bulk", "kafka-apis"),
      e2e("bounds"),
    ],
    aim: CORE_AIM,
  },
  {
    name: "group object",
    files: ["durable-objects/group"],
    stages: [
      core("group-store", "kafka-members", "kafka-positions", "classic-members", "watchers"),
      core("object-clock", "identity"),
      workers("group-object", "kafka-groups", "group-admission", "group-config", "silent-sockets"),
      workers("kafka-watches", "storage-failure", "clock", "files", "poll", "unread-sockets"),
      workers("plain-consumer", "kafka-wire"),
    ],
    aim: AIM,
  },
  {
    name: "partition object",
    files: ["durable-objects/partition", "durable-objects/shared"],
    stages: [
      core(
        "group-commit",
        "slow-readers",
        "tail-readers",
        "sockets",
        "object-clock",
        "housekeeping",
        "end-reports",
        "request-store",
        "fences",
        "identity",
        "log-store",
      ),
      workers(
        "partition-object",
        "partition-ends",
        "housekeeping",
        "batches",
        "idempotency-keys",
        "repeats",
        "unread-sockets",
        "silent-sockets",
        "storage-failure",
        "damage",
        "clock",
      ),
    ],
    aim: AIM,
  },
  {
    name: "cluster object",
    files: ["durable-objects/cluster"],
    stages: [
      core("cluster-store", "identity"),
      workers("cluster-object", "cluster-tasks"),
      workers("http", "files", "kafka-apis", "clock", "housekeeping"),
    ],
    aim: AIM,
  },
  {
    name: "edge",
    files: ["src/worker/edge", "src/worker/http", "src/worker/session", "src/worker/rpc"],
    stages: [
      core(
        "worker/edge-produce",
        "worker/edge-lookups",
        "worker/edge-poll",
        "worker/edge-reads",
        "worker/http-body",
        "worker/sessions",
        "holders",
        "lines",
        "session-room",
        "unfolder",
        "unread-replies",
        "json-shape",
      ),
      workers("http-edge", "http", "bulk", "poll", "plain-consumer", "stream", "batches", "rpc"),
      workers("bounds", "idempotence", "idempotency-keys", "openapi"),
      e2e("bounds", "plain-group"),
    ],
    aim: AIM,
  },
  {
    name: "protocol",
    files: ["src/protocol", "src/compression"],
    stages: [
      core(
        "json-text",
        "json-value",
        "json-shape",
        "append-frame",
        "decoder",
        "compression",
        "types",
        "lines",
      ),
      workers("http", "plain-consumer", "poll"),
    ],
    aim: AIM,
  },
  {
    name: "Kafka",
    files: ["src/worker/kafka/"],
    stages: [
      core(
        "kafka-codec",
        "worker/kafka-feeds",
        "worker/kafka-fetch",
        "worker/kafka-connection",
        "worker/kafka-sockets",
        "worker/kafka-websocket",
        "worker/kafka-apis",
        "worker/kafka-group-apis",
        "worker/kafka-offset-apis",
      ),
      workers("kafka", "kafka-apis", "kafka-connection", "kafka-groups", "kafka-wire"),
      workers("kafka-bounds", "kafka-duplicates", "kafka-auto-create"),
      e2e("kafka-protocol", "kafka-admin"),
    ],
    aim: AIM,
  },
  {
    name: "client",
    files: ["src/sdk"],
    stages: [
      core(
        "consumer",
        "consumer-core",
        "consumer-callbacks",
        "consumer-loop",
        "assigned-partition",
        "producer",
        "producer-lane",
        "producer-socket",
        "token",
        "transport",
        "clock",
        "unread-replies",
      ),
      workers("sdk"),
      e2e("sdk", "producer"),
    ],
    aim: AIM,
  },
];
