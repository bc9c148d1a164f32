// The areas of the code, the tests of each, and the share of mutants that the tests must find.

export interface Stage {
  readonly project: "unit" | "workers" | "e2e";
  /** Paths below the project's folder, without `.test.ts`. */
  readonly tests: readonly string[];
}

export interface Area {
  readonly name: string;
  /** Prefixes of the paths of its files. */
  readonly files: readonly string[];
  /** They run one after another until one finds the mutant, so the cheapest comes first. */
  readonly stages: readonly Stage[];
  /** The share of mutants that the tests must find, from 0 to 1. */
  readonly aim: number;
}

const CORE_AIM = 0.9;
const AIM = 0.8;

const unit = (...tests: string[]): Stage => ({ project: "unit", tests });
const workers = (...tests: string[]): Stage => ({ project: "workers", tests });
const e2e = (...tests: string[]): Stage => ({ project: "e2e", tests });

export const AREAS: readonly Area[] = [
  {
    name: "classic groups",
    files: ["src/core/group/classic"],
    stages: [
      unit(
        "core/group/classic-group",
        "core/group/classic-phases",
        "core/group/classic-static",
        "core/group/classic-model",
        "core/group/admission",
        "core/group/describe-group",
        "core/group/group-history",
        "durable-objects/group/classic-members",
        "durable-objects/group/group-keeper",
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
      "src/core/group/changes.ts",
      "src/core/group/config.ts",
      "src/core/group/coordinator.ts",
      "src/core/group/describe.ts",
      "src/core/group/group.ts",
      "src/core/group/heartbeat.ts",
      "src/core/group/history.ts",
      "src/core/group/offsets.ts",
      "src/core/group/partition-key.ts",
      "src/core/group/reconcile.ts",
      "src/core/group/requests.ts",
      "src/core/group/session.ts",
      "src/core/group/state.ts",
      "src/core/group/topic-pattern.ts",
    ],
    stages: [
      unit(
        "core/group/coordinator",
        "core/group/heartbeat",
        "core/group/polling-members",
        "core/group/group-life",
        "core/group/group-positions",
        "core/group/admission",
        "core/group/group-history",
        "core/group/group-config",
        "core/group/describe-group",
        "core/group/assignor/uniform",
        "core/group/assignor/range",
      ),
      unit(
        "durable-objects/group/kafka-members",
        "durable-objects/group/kafka-positions",
        "durable-objects/group/classic-members",
        "durable-objects/group/group-server",
        "durable-objects/group/group-keeper",
      ),
      workers("kafka-groups", "group-object", "group-admission", "group-config"),
    ],
    aim: CORE_AIM,
  },
  {
    name: "log",
    files: ["src/core/log", "src/core/conditional-append.ts", "src/core/record.ts"],
    stages: [
      unit(
        "core/produce-plan",
        "core/log/chunks",
        "core/log/damage",
        "core/log/log-costs",
        "core/log/log-model",
        "core/log/log-store",
        "core/log/partition-log",
        "core/log/producers",
        "core/log/record-batch",
        "core/log/relayed-log",
        "core/log/repeats",
        "core/log/retention",
        "core/log/tail-cache",
        "core/log/tail-reader",
        "core/log/timestamps",
        "core/log/validate-append",
        "core/log/compaction-state",
        "core/log/compaction",
        "core/log/interop",
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
      unit(
        "core/names",
        "core/errors",
        "core/produce-plan",
        "core/cluster/config",
        "core/elapsed",
        "core/ledger",
        "core/limits",
        "core/partitioner",
        "core/platform-errors",
        "durable-objects/shared/identity",
        "sdk/types",
      ),
      workers("cluster-object", "http", "bounds", "bulk", "kafka-apis"),
      e2e("bounds"),
    ],
    aim: CORE_AIM,
  },
  {
    name: "group object",
    files: ["durable-objects/group", "src/calls/kafka-replies.ts"],
    stages: [
      unit(
        "durable-objects/group/group-store",
        "durable-objects/group/kafka-members",
        "durable-objects/group/kafka-positions",
        "durable-objects/group/classic-members",
        "durable-objects/group/group-keeper",
        "durable-objects/group/group-server",
        "durable-objects/group/presence",
        "durable-objects/group/watchers",
      ),
      unit("durable-objects/shared/object-clock", "durable-objects/shared/identity"),
      workers("group-object", "kafka-groups", "group-admission", "group-config", "silent-sockets"),
      workers("kafka-watches", "storage-failure", "clock", "files", "poll", "unread-sockets"),
      workers("plain-consumer", "kafka-wire"),
    ],
    aim: AIM,
  },
  {
    name: "partition object",
    files: ["durable-objects/partition", "durable-objects/relay", "durable-objects/shared"],
    stages: [
      unit(
        "durable-objects/partition/relays",
        "durable-objects/partition/group-commit",
        "durable-objects/partition/slow-readers",
        "durable-objects/partition/tail-readers",
        "durable-objects/shared/sockets",
        "durable-objects/shared/object-clock",
        "durable-objects/partition/housekeeping",
        "durable-objects/partition/end-reports",
        "durable-objects/partition/request-store",
        "core/log/fences",
        "durable-objects/shared/identity",
        "core/log/log-store",
      ),
      workers(
        "partition-object",
        "partition-ends",
        "relays",
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
      unit("durable-objects/cluster/cluster-store", "durable-objects/shared/identity"),
      workers("cluster-object", "cluster-tasks"),
      workers("http", "files", "kafka-apis", "clock", "housekeeping"),
    ],
    aim: AIM,
  },
  {
    name: "edge",
    files: ["src/worker/edge", "src/worker/http", "src/worker/session", "src/worker/rpc"],
    stages: [
      unit(
        "worker/edge/produce",
        "worker/edge/lookups",
        "worker/edge/poll",
        "worker/edge/reads",
        "worker/http/body",
        "worker/session/sessions",
        "worker/edge/holders",
        "worker/http/lines",
        "worker/session/session-room",
        "worker/edge/answer-decoder",
        "worker/session/unread-replies",
        "protocol/json-shape",
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
      unit(
        "protocol/json-text",
        "protocol/json-value",
        "protocol/json-shape",
        "protocol/append-frame",
        "member/decoder",
        "core/log/compression",
        "sdk/types",
        "worker/http/lines",
      ),
      workers("http", "plain-consumer", "poll"),
    ],
    aim: AIM,
  },
  {
    name: "Kafka",
    files: ["src/worker/kafka/"],
    stages: [
      unit(
        "worker/kafka/codec",
        "worker/kafka/feeds",
        "worker/kafka/fetch",
        "worker/kafka/connection",
        "worker/kafka/sockets",
        "worker/kafka/websocket",
        "worker/kafka/apis",
        "worker/kafka/group-apis",
        "worker/kafka/offset-apis",
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
      unit(
        "sdk/consumer",
        "member/consumer-core",
        "sdk/consumer-callbacks",
        "sdk/consumer-loop",
        "member/assigned-partition",
        "sdk/producer",
        "sdk/producer/producer-lane",
        "sdk/producer-socket",
        "sdk/token",
        "member/transport",
        "member/clock",
        "worker/session/unread-replies",
      ),
      workers("sdk"),
      e2e("sdk", "producer"),
    ],
    aim: AIM,
  },
];
