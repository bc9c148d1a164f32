// Grants: what a principal may do. Grants only permit; anything that no grant permits is refused. One function decides,
// for every protocol.
import type { ErrorName } from "../errors.ts";
import { includes, OPERATIONS_OF, type Operation, type ResourceType } from "./operations.ts";

/** One name, or all names with a prefix. The empty prefix means all names. */
export type NamePattern = { readonly exact: string } | { readonly prefix: string };

/** A permission, as API keys and tokens carry it. The names are on disk and on the wire. */
export type Grant =
  | ({ readonly topics: NamePattern } & Granted)
  | ({ readonly groups: NamePattern } & Granted)
  | { readonly cluster: readonly Operation[] };

interface Granted {
  /** Kafka's operations, such as READ. ALL means all of them. */
  readonly operations: readonly Operation[];
  /** [QUO-5] The bound on the number of matching topics or groups, applied when one is created by this grant. */
  readonly max?: number | undefined;
}

/** [QUO-5] A condition: fewer than `max` topics or groups match the pattern. */
export interface Room {
  readonly pattern: NamePattern;
  readonly max: number;
}

/** A topic or group by its name, or the cluster. */
export interface Resource {
  readonly type: ResourceType;
  readonly name: string;
}

/** The name is Kafka's. */
export const CLUSTER: Resource = { type: "cluster", name: "kafka-cluster" };

export function topicResource(name: string): Resource {
  return { type: "topic", name };
}

export function groupResource(name: string): Resource {
  return { type: "group", name };
}

/** A principal: a name and its grants. */
export interface Principal {
  /** Kafka's form: a type, a colon and a name, such as `User:alice`. */
  readonly principal: string;
  readonly grants: readonly Grant[];
}

/** True if a grant of the principal allows the operation on the resource. */
export function isAllowed(
  { grants }: Pick<Principal, "grants">,
  operation: Operation,
  { type, name }: Resource,
): boolean {
  return grants.some((grant) => {
    const [grantedType, pattern, operations] = partsOf(grant);
    return (
      grantedType === type &&
      operations.some((granted) => includes(granted, operation)) &&
      (pattern === null || isMatch(pattern, name))
    );
  });
}

/**
 * True if the principal may do this to at least one topic or group. Kafka gives a producer id to a principal that may
 * write to any topic.
 */
export function isAllowedSomewhere(
  { grants }: Pick<Principal, "grants">,
  operation: Operation,
  type: ResourceType,
): boolean {
  return grants.some((grant) => {
    const [grantedType, , operations] = partsOf(grant);
    return grantedType === type && operations.some((granted) => includes(granted, operation));
  });
}

/**
 * [QUO-5] Returns the bounds for creating this resource, at least one of which must have room. Undefined if nothing
 * bounds the principal. `operation` is the creating operation.
 */
export function roomsFor(
  { grants }: Pick<Principal, "grants">,
  operation: Operation,
  resource: Resource,
): readonly Room[] | undefined {
  const rooms: Room[] = [];
  for (const grant of grants) {
    if (!isAllowed({ grants: [grant] }, operation, resource)) continue;
    const pattern = "cluster" in grant ? null : "topics" in grant ? grant.topics : grant.groups;
    const max = "cluster" in grant ? undefined : grant.max;
    if (pattern === null || max === undefined) return undefined;
    rooms.push({ pattern, max });
  }
  return rooms;
}

/**
 * [QUO-5] Returns the first bound if all are exhausted, or null if one has room. `count` returns how many names match a
 * pattern. It may stop counting at the given bound.
 */
export function whyNoRoom(
  rooms: readonly Room[] | undefined,
  count: (pattern: NamePattern, max: number) => number,
): Room | null {
  const [first] = rooms ?? [];
  if (rooms === undefined || first === undefined) return null;
  return rooms.some(({ pattern, max }) => count(pattern, max) < max) ? null : first;
}

/** Returns the operations that the principal may perform on the resource. */
export function allowedOperations(
  principal: Pick<Principal, "grants">,
  resource: Resource,
): Operation[] {
  return OPERATIONS_OF[resource.type].filter((operation) =>
    isAllowed(principal, operation, resource),
  );
}

/**
 * Returns the first wanted grant that exceeds the principal's own grants, or null. A grant is covered if another grant
 * matches all of its names and includes all of its operations. Its bound on the number of names must not exceed the
 * other's.
 */
export function grantBeyond(
  { grants }: Pick<Principal, "grants">,
  wanted: readonly Grant[],
): Grant | null {
  const own = grants.map((grant) => [...partsOf(grant), maxOf(grant)] as const);
  const isWithin = (grant: Grant): boolean => {
    const [type, pattern, operations] = partsOf(grant);
    const max = maxOf(grant);
    const each = operations.flatMap((operation) =>
      operation === "ALL" ? OPERATIONS_OF[type] : [operation],
    );
    return each.every((operation) =>
      own.some(
        ([ownType, ownPattern, ownOperations, ownMax]) =>
          ownType === type &&
          max <= ownMax &&
          (ownPattern === null || (pattern !== null && isNarrower(pattern, ownPattern))) &&
          ownOperations.some((granted) => includes(granted, operation)),
      ),
    );
  };
  return wanted.find((grant) => !isWithin(grant)) ?? null;
}

/**
 * [ACL-7] Returns the patterns of the topics that the principal may read, in a form that can be stored. Undefined means
 * all topics, an empty list none.
 */
export function readableTopics({
  grants,
}: Pick<Principal, "grants">): readonly NamePattern[] | undefined {
  const patterns = grants.flatMap((grant) =>
    "topics" in grant && grant.operations.some((operation) => includes(operation, "READ"))
      ? [grant.topics]
      : [],
  );
  const isAll = patterns.some((pattern) => "prefix" in pattern && pattern.prefix === "");
  return isAll ? undefined : patterns;
}

/** True if one of the patterns matches the name. */
export function isReadable(readable: readonly NamePattern[] | undefined, name: string): boolean {
  return readable === undefined || readable.some((pattern) => isMatch(pattern, name));
}

export type GrantParts = readonly [ResourceType, NamePattern | null, readonly Operation[]];

/** Returns a grant's resource type, name pattern and operations. The pattern is null for the cluster. */
export function partsOf(grant: Grant): GrantParts {
  if ("topics" in grant) return ["topic", grant.topics, grant.operations];
  if ("groups" in grant) return ["group", grant.groups, grant.operations];
  return ["cluster", null, grant.cluster];
}

function maxOf(grant: Grant): number {
  return "cluster" in grant ? Number.POSITIVE_INFINITY : (grant.max ?? Number.POSITIVE_INFINITY);
}

function isMatch(pattern: NamePattern, name: string): boolean {
  return "exact" in pattern ? pattern.exact === name : name.startsWith(pattern.prefix);
}

function isNarrower(pattern: NamePattern, wider: NamePattern): boolean {
  if ("exact" in pattern) return isMatch(wider, pattern.exact);
  return "prefix" in wider && pattern.prefix.startsWith(wider.prefix);
}

/** The error for a caller without the needed rights, by resource type. */
export const REFUSED: Readonly<Record<ResourceType, ErrorName>> = {
  topic: "TOPIC_AUTHORIZATION_FAILED",
  group: "GROUP_AUTHORIZATION_FAILED",
  cluster: "CLUSTER_AUTHORIZATION_FAILED",
};

/** Names the missing grant. It does not reveal whether the resource exists. */
export function whatIsMissing(
  { principal }: Pick<Principal, "principal">,
  operation: Operation,
  { type, name }: Resource,
): string {
  const what = type === "cluster" ? "the cluster" : `${type} ${name}`;
  return `${principal} may not ${operation} ${what}; it needs a grant of ${operation} on ${type === "cluster" ? "cluster" : `${type}s`}`;
}

const ALL_NAMES: NamePattern = { prefix: "" };

/** Short names for grants on all topics and groups. */
export const ROLES = {
  /** Reads records, without a group. */
  read: [{ topics: ALL_NAMES, operations: ["READ"] }],
  /** Produces. */
  write: [{ topics: ALL_NAMES, operations: ["WRITE"] }],
  /** Reads records, alone or in a group. */
  consume: [
    { topics: ALL_NAMES, operations: ["READ"] },
    { groups: ALL_NAMES, operations: ["READ"] },
  ],
  admin: [
    { topics: ALL_NAMES, operations: ["ALL"] },
    { groups: ALL_NAMES, operations: ["ALL"] },
    { cluster: ["ALL"] },
  ],
} as const satisfies Record<string, readonly Grant[]>;

export type Role = keyof typeof ROLES;
