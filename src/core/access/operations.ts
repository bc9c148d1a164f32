// Kafka's operations: what may be done with a topic, a group or the cluster (Kafka's AclOperation).
//
// An operation may include others. Whoever may read, write, delete or alter a resource may also describe it, and
// whoever may alter configs may also describe them, as in Kafka's AclAuthorizer.

/** The operations with Kafka's codes, which are on the wire. */
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

/** The operations that exist for each kind of resource, as Kafka's AclEntry lists them. ALL stands for all of these. */
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

/** True if whoever may do `granted` may also do `operation`. */
export function includes(granted: Operation, operation: Operation): boolean {
  return granted === operation || granted === "ALL" || INCLUDED[granted] === operation;
}

/** Returns the operation of this name, in any spelling of Kafka's tools: DESCRIBE_CONFIGS, DescribeConfigs. Or null. */
export function operationNamed(name: string): Operation | null {
  return BY_NAME.get(plain(name)) ?? null;
}

const plain = (name: string) => name.replaceAll("_", "").toLowerCase();
const BY_NAME = new Map(
  (Object.keys(OPERATION_CODES) as Operation[]).map((operation) => [plain(operation), operation]),
);
