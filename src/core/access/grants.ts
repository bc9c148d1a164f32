// Grants: what a principal may do. There are only permissions: what no grant allows is refused. One function decides,
// and every way in asks it.
import type { ErrorName } from "../errors.ts";
import { includes, OPERATIONS_OF, type Operation, type ResourceType } from "./operations.ts";

/** One name, or all names that begin like this. The empty prefix means all names. */
export type NamePattern = { readonly exact: string } | { readonly prefix: string };

/** A permission, as API keys and tokens carry it. The names are on disk and on the wire. */
export type Grant =
  | ({ readonly topics: NamePattern } & Granted)
  | ({ readonly groups: NamePattern } & Granted)
  | { readonly cluster: readonly Operation[] };

interface Granted {
  readonly operations: readonly Operation[];
  /** [QUO-5] How many topics or groups with such names there may be for whoever creates one by this grant. */
  readonly max?: number | undefined;
}

/** [QUO-5] The number of topics or groups with such names has to be less than the bound. */
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

/** A principal: a name, and the grants that it has. */
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
 * True if the principal may do this to some topic, whatever its name. Kafka gives a producer id to whoever may write
 * to any topic.
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
 * [QUO-5] Returns the bounds of which one must have room, if the principal creates this. Undefined if it may create as many
 * as it likes. The operation is the one that creates.
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
 * [QUO-5] Returns the bound that there is no room under, or null if any of them has room. `count` returns how many names
 * fit a pattern. It may stop counting at the bound that it is given.
 */
export function whyNoRoom(
  rooms: readonly Room[] | undefined,
  count: (pattern: NamePattern, max: number) => number,
): Room | null {
  const [first] = rooms ?? [];
  if (rooms === undefined || first === undefined) return null;
  return rooms.some(({ pattern, max }) => count(pattern, max) < max) ? null : first;
}

/** Returns the operations that the principal may do to the resource. */
export function allowedOperations(
  principal: Pick<Principal, "grants">,
  resource: Resource,
): Operation[] {
  return OPERATIONS_OF[resource.type].filter((operation) =>
    isAllowed(principal, operation, resource),
  );
}

/**
 * Returns the first of these grants that goes beyond the principal's own, or null. A grant is within another one if
 * every name that it fits is fitted by the other, and every operation is included. A bound on the number of names has to be within the other one's.
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
 * [ACL-7] Returns the names of topics that the principal may read, for whoever keeps them. Undefined is all names, and an
 * empty list is none.
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

/** True if the name is among these. */
export function isReadable(readable: readonly NamePattern[] | undefined, name: string): boolean {
  return readable === undefined || readable.some((pattern) => isMatch(pattern, name));
}

export type GrantParts = readonly [ResourceType, NamePattern | null, readonly Operation[]];

/** Returns what a grant is about, which names, and what it allows. The names are null for the cluster. */
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

/** The error for whoever may not do something to a resource of this kind. */
export const REFUSED: Readonly<Record<ResourceType, ErrorName>> = {
  topic: "TOPIC_AUTHORIZATION_FAILED",
  group: "GROUP_AUTHORIZATION_FAILED",
  cluster: "CLUSTER_AUTHORIZATION_FAILED",
};

/** Says which grant is missing. It says nothing about whether the resource exists. */
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
