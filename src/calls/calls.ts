// Calls between the Worker and the objects, and among objects.
//
// During an upgrade, old and new code call each other in both directions for minutes. So the names of methods and
// fields are on the wire and stay. A call takes one object of named fields. Fields are added with a default, and the
// callee ignores unknown fields. If an older object would misunderstand a call, it gets a new method. An object without
// the method is older than its caller, and works again once it has been replaced. The caller then gets a retriable
// error [VER-9].
//
// Release 0.1 passes arguments by position. Release 0.2 does too, with one more argument for named fields that 0.1 does
// not know. Objects accept both. The release after this one will no longer send them, and the one after that will drop
// POSITIONS.

import { MAX_REQUEST_ID_CHARS } from "../core/limits.ts";

export type ObjectKind = "cluster" | "partition" | "group" | "relay" | "metrics";

/** The version of the calls. It is part of each call, and increases with every change of their meaning. */
export const CALLS_VERSION = 2;

export type CallRequest = Readonly<Record<string, unknown>>;

/** [AUD-1] True if the call has changed anything. An object of an older release does not say, so it may have. */
export interface Changed {
  readonly isChanged?: boolean;
}

/** The field for the version. No other field of a caller has this name by accident. */
const VERSION_FIELD = "callsVersion";

/** The field for the id of the request in which the call is made. Objects of release 0.2 ignore it. */
const REQUEST_ID_FIELD = "callsRequestId";

/** The fields that release 0.1 passes in each position. A list in a position means an object with those fields. */
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
  relay: {}, // Release 0.2 has neither of these two kinds.
  metrics: {},
};

/** Returns the arguments of a call in the form in which they are sent. */
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

/** Returns the id of the request in which a call is made, if the caller included it. */
export function requestIdIn(args: readonly unknown[]): string | undefined {
  const last = args.at(-1);
  const named = isRequest(last) ? last[REQUEST_ID_FIELD] : undefined;
  return typeof named === "string" ? named.slice(0, MAX_REQUEST_ID_CHARS) : undefined;
}

/** Returns the request of a call, from whichever release. */
export function toRequest(kind: ObjectKind, method: string, args: readonly unknown[]): CallRequest {
  const last = args.at(-1);
  const { [VERSION_FIELD]: version, [REQUEST_ID_FIELD]: _, ...named } = isRequest(last) ? last : {};
  if (version === undefined && POSITIONS[kind][method] === undefined) return named;
  const placed = version === undefined ? args : args.slice(0, -1);
  const request: Record<string, unknown> = {};
  for (const [i, place] of (POSITIONS[kind][method] ?? []).entries()) {
    const value = placed[i];
    if (value === undefined) continue; // It is absent. The method has a default for it.
    if (typeof place === "string") request[place] = value;
    else Object.assign(request, value);
  }
  return version === undefined ? request : { ...request, ...named };
}

function isRequest(value: unknown): value is CallRequest {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
