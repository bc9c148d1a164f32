// Calls between the Worker and the objects, and among objects.
//
// During an upgrade old and new code call each other, in both directions, for minutes. So the names of methods and
// fields are on the wire, and stay: a call takes one object of named fields, fields are added with a default, and
// whoever is called ignores fields that it does not know. A call that an older object would get wrong gets a new
// method. An object that lacks the method is older than its caller, and answers again once it has been replaced:
// callers are told so with an error that may be tried again [VER-9].
//
// Release 0.1 passes arguments by position, and so does 0.2, with the named fields that 0.1 does not know in one more
// argument. Objects take those. The release after this one no longer sends them, and the one after that drops POSITIONS.

import { MAX_REQUEST_ID_CHARS } from "../core/limits.ts";

export type ObjectKind = "cluster" | "partition" | "group" | "relay" | "metrics";

/** The version of the calls. It stands in each call, and grows with every change of their meaning. */
export const CALLS_VERSION = 2;

export type CallRequest = Readonly<Record<string, unknown>>;

/** [AUD-1] Whether a call has changed anything. An object of an older release does not say, and may have. */
export interface Changed {
  readonly isChanged?: boolean;
}

/** The field with the version. Nothing that a caller sends has this name by chance. */
const VERSION_FIELD = "callsVersion";

/** The field that names the request in which the call is made. Objects of release 0.2 ignore it. */
const REQUEST_ID_FIELD = "callsRequestId";

/** The fields that release 0.1 passes in each position. A list in a position is an object of those fields. */
type Positions = readonly (string | readonly string[])[];

const POSITIONS: Readonly<Record<ObjectKind, Readonly<Record<string, Positions>>>> = {
  cluster: {
    createTopic: ["name", "partitions", "overrides"],
    topic: ["name"],
    topicById: ["topicId"],
    alterTopic: ["name", ["partitions", "config"]],
    deleteTopic: ["name"],
    alterDefaults: ["changes"],
    usePartition: ["topicId", "partition"],
    noteLogEnd: ["topicId", "partition", "logEnd"],
    usedPartitions: ["topicIds"],
    hasGroup: ["groupId"],
    noteGroupMade: ["groupId"],
    isGroupMade: ["groupId"],
    subscribe: ["groupId", "names", "pattern", "mustExist"],
    retireIncarnation: ["incarnation"],
    forgetGroup: ["groupId"],
  },
  partition: {
    append: ["batches", "expectedOffset", "keyed", "isOwn"],
    readAs: ["owner", ["offset", "maxBytes"]],
    findBatchByTimestamp: ["timestamp", "from"],
    deleteRecords: ["before"],
    beginRequest: ["key", "bodyHash", "plan"],
    configure: ["topic"],
  },
  group: {
    history: ["limit"],
    resetOffsets: ["offsets"],
    deleteOffsets: ["topics"],
    alterConfig: ["changes"],
    hasIncarnation: ["incarnation"],
    changeTopic: ["name", "topic"],
    deliver: ["memberId", "memberEpoch", "deliveries"],
    leave: ["memberId", "acks"],
    leaveClassic: ["members"],
    commitOffsets: ["token", "offsets"],
    deletePositions: ["positions"],
    committedOffsets: ["member"],
  },
  relay: {}, // Release 0.2 knew none of these two.
  metrics: {},
};

/** Returns the arguments of a call as they are sent. */
export function toArguments(
  kind: ObjectKind,
  method: string,
  request: CallRequest = {},
  requestId?: string,
): unknown[] {
  const own = {
    ...(requestId === undefined ? {} : { [REQUEST_ID_FIELD]: requestId }),
    [VERSION_FIELD]: CALLS_VERSION,
  };
  const positions = POSITIONS[kind][method];
  if (positions === undefined) return [{ ...request, ...own }];
  const rest: Record<string, unknown> = { ...request };
  const take = (field: string) => {
    const value = rest[field];
    delete rest[field];
    return value;
  };
  const placed = positions.map((place) =>
    typeof place === "string"
      ? take(place)
      : Object.fromEntries(place.map((field) => [field, take(field)])),
  );
  return [...placed, { ...rest, ...own }];
}

/** Returns the request in which a call is made, if its caller has named it. */
export function requestIdIn(args: readonly unknown[]): string | undefined {
  const last = args.at(-1);
  const named = isRequest(last) ? last[REQUEST_ID_FIELD] : undefined;
  return typeof named === "string" ? named.slice(0, MAX_REQUEST_ID_CHARS) : undefined;
}

/** Returns the request of a call, whichever release has sent it. */
export function toRequest(kind: ObjectKind, method: string, args: readonly unknown[]): CallRequest {
  const last = args.at(-1);
  const { [VERSION_FIELD]: version, [REQUEST_ID_FIELD]: _, ...named } = isRequest(last) ? last : {};
  if (version === undefined && POSITIONS[kind][method] === undefined) return named;
  const placed = version === undefined ? args : args.slice(0, -1);
  const request: Record<string, unknown> = {};
  for (const [i, place] of (POSITIONS[kind][method] ?? []).entries()) {
    const value = placed[i];
    if (value === undefined) continue; // Left out. The method has a default for it.
    if (typeof place === "string") request[place] = value;
    else Object.assign(request, value);
  }
  return version === undefined ? request : { ...request, ...named };
}

function isRequest(value: unknown): value is CallRequest {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
