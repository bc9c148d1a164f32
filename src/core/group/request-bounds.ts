// The bounds of a member's requests, over every protocol. They cover its ids, which become keys of rows, and its lists,
// whose every element costs the group time and storage. JSON schemas check most of them earlier; Kafka's protocol does
// not.
import { sizeOf } from "../bytes.ts";
import { type Failure, fail, preview } from "../errors.ts";
import {
  MAX_CLASSIC_GROUP_BYTES,
  MAX_CLASSIC_MEMBER_BYTES,
  MAX_CLASSIC_PROTOCOLS,
  MAX_CLIENT_ID_LENGTH,
  MAX_MEMBER_ID_LENGTH,
  MAX_MEMBERS_PER_GROUP,
  MAX_TOPICS_PER_KAFKA_MEMBER,
} from "../limits.ts";
import type { ClassicJoin, ClassicLeave, ClassicSync, GroupRequest } from "./requests.ts";

/** [BND-21] Returns INVALID_REQUEST for the first bound that the request exceeds, or null. */
export function whyNotBounded(request: GroupRequest): Failure | null {
  switch (request.type) {
    case "join":
    case "poll":
    case "heartbeat":
      return (
        whyNotIds(request) ?? whyNotMany("topics", request.topics, MAX_TOPICS_PER_KAFKA_MEMBER)
      );
    case "joinClassic":
      return whyNotIds(request) ?? whyNotProtocols(request);
    case "syncClassic":
      return whyNotAssignments(request);
    case "leaveClassic":
      return whyNotMany<ClassicLeave>("members", request.members, MAX_MEMBERS_PER_GROUP);
    default:
      return null;
  }
}

interface Ids {
  readonly memberId: string;
  readonly instanceId: string | null;
  readonly clientId: string | null;
}

function whyNotIds({ memberId, instanceId, clientId }: Ids): Failure | null {
  return (
    whyNotId("memberId", memberId, MAX_MEMBER_ID_LENGTH) ??
    whyNotId("instanceId", instanceId, MAX_CLIENT_ID_LENGTH) ??
    whyNotId("clientId", clientId, MAX_CLIENT_ID_LENGTH)
  );
}

/**
 * Returns the error in an id, or null. A lone surrogate has no UTF-8 form: SQLite would store another id than the one
 * sent.
 */
function whyNotId(field: string, id: string | null, maxLength: number): Failure | null {
  if (id === null) return null;
  if (id.length > maxLength)
    return invalid(`${field} has ${id.length} characters, the bound is ${maxLength}`);
  return id.isWellFormed() ? null : invalid(`${field} is ${preview(id)}, it must be Unicode text`);
}

function whyNotMany<T>(field: string, list: readonly T[] | null, bound: number): Failure | null {
  if (list === null || list.length <= bound) return null;
  return invalid(`${field} has ${list.length} items, the bound is ${bound}`);
}

function whyNotProtocols({ protocols }: ClassicJoin): Failure | null {
  const long = protocols.find(({ name }) => name.length > MAX_CLIENT_ID_LENGTH);
  return (
    whyNotMany("protocols", protocols, MAX_CLASSIC_PROTOCOLS) ??
    (long === undefined ? null : whyNotId("protocols.name", long.name, MAX_CLIENT_ID_LENGTH)) ??
    whyNotBytes(
      "metadata of all protocols",
      protocols.map(({ metadata }) => metadata),
      MAX_CLASSIC_MEMBER_BYTES,
    )
  );
}

function whyNotAssignments({ assignments }: ClassicSync): Failure | null {
  const pieces = assignments.map(({ assignment }) => assignment);
  return (
    whyNotMany("assignments", assignments, MAX_MEMBERS_PER_GROUP) ??
    whyNotBytes("assignments", pieces, MAX_CLASSIC_GROUP_BYTES)
  );
}

function whyNotBytes(field: string, pieces: readonly Uint8Array[], bound: number): Failure | null {
  const bytes = sizeOf(pieces);
  return bytes <= bound ? null : invalid(`${field}: ${bytes} bytes, the bound is ${bound}`);
}

function invalid(detail: string): Failure {
  return fail("INVALID_REQUEST", detail);
}
