// Kafka's operations on a topic, a group or the cluster (Kafka's AclOperation).
//
// An operation may include others. A right to read, write, delete or alter a resource includes DESCRIBE. A right to
// alter configs includes DESCRIBE_CONFIGS. Kafka's AclAuthorizer has the same rules.

/** The operations with Kafka's wire codes. */
export const OPERATION_CODES = {
  ALL: 2,
  READ: 3,
  WRITE: 4,
  CREATE: 5,
  DELETE: 6,
  ALTER: 7,
  DESCRIBE: 8,
  DESCRIBE_CONFIGS: 10,
  ALTER_CONFIGS: 11,
  IDEMPOTENT_WRITE: 12,
} as const;

export type Operation = keyof typeof OPERATION_CODES;
export type ResourceType = "topic" | "group" | "cluster";

/** The operations of each resource type, as in Kafka's AclEntry. ALL stands for all of them. */
export const OPERATIONS_OF: Readonly<Record<ResourceType, readonly Operation[]>> = {
  topic: [
    "READ",
    "WRITE",
    "CREATE",
    "DELETE",
    "ALTER",
    "DESCRIBE",
    "DESCRIBE_CONFIGS",
    "ALTER_CONFIGS",
  ],
  group: ["READ", "DELETE", "DESCRIBE", "DESCRIBE_CONFIGS", "ALTER_CONFIGS"],
  cluster: ["CREATE", "ALTER", "DESCRIBE", "DESCRIBE_CONFIGS", "ALTER_CONFIGS", "IDEMPOTENT_WRITE"],
};

const INCLUDED: Partial<Record<Operation, Operation>> = {
  READ: "DESCRIBE",
  WRITE: "DESCRIBE",
  DELETE: "DESCRIBE",
  ALTER: "DESCRIBE",
  ALTER_CONFIGS: "DESCRIBE_CONFIGS",
};

/** True if a right to `granted` is also a right to `operation`. */
export function includes(granted: Operation, operation: Operation): boolean {
  return granted === operation || granted === "ALL" || INCLUDED[granted] === operation;
}

/**
 * Returns the operation of this name, or null. It accepts every spelling of Kafka's tools: DESCRIBE_CONFIGS,
 * DescribeConfigs.
 */
export function operationNamed(name: string): Operation | null {
  return BY_NAME.get(plain(name)) ?? null;
}

const plain = (name: string) => name.replaceAll("_", "").toLowerCase();
const BY_NAME = new Map(
  (Object.keys(OPERATION_CODES) as Operation[]).map((operation) => [plain(operation), operation]),
);
