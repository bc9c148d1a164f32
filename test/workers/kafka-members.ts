// Members that speak Kafka's protocol. They join by the calls that a connection makes for its client.

import { expect } from "vitest";
import type { HeartbeatRequest } from "../../src/calls/group-calls.ts";
import { upgradeFor } from "../../src/calls/socket-caller.ts";
import { ANYBODY } from "../../src/core/access/caller.ts";
import type { ClassicJoin, ClassicToken } from "../../src/core/group/requests.ts";
import type { GroupStub } from "../../src/env.ts";
import { watchUrl } from "../../src/protocol/watch-socket.ts";
import { createTopic, TestSocket } from "./support.ts";

/** The join of a classic member that has no id yet. */
export const CLASSIC_JOIN: ClassicJoin = {
  memberId: "",
  newMemberId: "classic",
  instanceId: null,
  clientId: "",
  clientHost: "/",
  sessionTimeoutMs: 10_000,
  rebalanceTimeoutMs: 1_000,
  protocolType: "consumer",
  protocols: [{ name: "range", metadata: new Uint8Array() }],
  mustKnowId: false,
  canSkipAssignment: false,
};

/** Joins as the only classic member, which assigns itself these bytes. */
export async function joinClassic(
  stub: GroupStub,
  join: Partial<ClassicJoin> = {},
  assignment: Uint8Array = new Uint8Array(),
): Promise<ClassicToken> {
  const { memberId, generation } = await stub.joinClassic({ ...CLASSIC_JOIN, ...join });
  const token: ClassicToken = { memberId, instanceId: null, generation };
  const assignments = [{ memberId, assignment }];
  const sync = { ...token, protocolType: null, protocolName: null, assignments };
  expect(await stub.syncClassic(sync)).toMatchObject({ errorCode: 0 });
  return token;
}

/** The heartbeat of a KIP-848 member that joins. */
export function nativeJoin(memberId: string, topic: string): HeartbeatRequest {
  return {
    memberId,
    memberEpoch: 0,
    instanceId: null,
    clientId: null,
    rebalanceTimeoutMs: 1_000,
    topics: [topic],
    topicPattern: null,
    owned: [],
  };
}

/** The heartbeat of a KIP-848 member for which nothing has changed. */
export function nativeBeat(memberId: string, memberEpoch: number): HeartbeatRequest {
  const nothingNew = { rebalanceTimeoutMs: -1, topics: null, topicPattern: null, owned: null };
  return { memberId, memberEpoch, instanceId: null, clientId: null, ...nothingNew };
}

/** Watches for the member, as the connection of its client does. */
export async function watch(stub: GroupStub, memberId: string): Promise<TestSocket<object>> {
  const { webSocket } = await stub.fetch(watchUrl(memberId), upgradeFor(ANYBODY));
  if (webSocket === null) throw new Error("there is no socket");
  const socket = new TestSocket<object>(webSocket, () => {});
  webSocket.accept();
  return socket;
}

interface WatchedKind {
  readonly kind: string;
  /** Joins as the only member, with its assignment. Returns its id. */
  join(stub: GroupStub, sessionTimeoutMs: number): Promise<string>;
  /** Reports that the member is alive, and nothing else. */
  beat(stub: GroupStub): Promise<void>;
  /** A query of the time since when it has been silent. */
  readonly silentSince: string;
}

/** The kinds of members for which a connection watches. */
export const WATCHED_KINDS: readonly WatchedKind[] = [
  {
    kind: "a classic member",
    join: async (stub, sessionTimeoutMs) => {
      const timeouts = { sessionTimeoutMs, rebalanceTimeoutMs: sessionTimeoutMs };
      return (await joinClassic(stub, timeouts)).memberId;
    },
    beat: async (stub) => {
      const token = { memberId: "classic", instanceId: null, generation: 1 };
      expect(await stub.heartbeatClassic(token)).toBe(0);
    },
    silentSince: "SELECT json_extract(json, '$.members[0].silentSinceMs') AS atMs FROM classic",
  },
  {
    kind: "a member of KIP-848",
    join: async (stub, sessionTimeoutMs) => {
      const { name } = await createTopic(1);
      await stub.alterConfig({
        changes: {
          "consumer.min.session.timeout.ms": sessionTimeoutMs,
          "consumer.session.timeout.ms": sessionTimeoutMs,
        },
      });
      expect(await stub.heartbeat(nativeJoin("native", name))).toMatchObject({ ok: true });
      return "native";
    },
    beat: async (stub) => {
      const answer = await stub.heartbeat(nativeBeat("native", 1));
      expect(answer).toMatchObject({ ok: true, assignment: null });
    },
    silentSince: "SELECT json_extract(json, '$.silentSinceMs') AS atMs FROM members",
  },
];
