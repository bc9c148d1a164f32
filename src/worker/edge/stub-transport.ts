// Sockets to the objects from inside the Worker, for the sessions that run there. An object's side of such a
// socket hibernates like any other. Only this side keeps the session's invocation alive.

import { OBJECT_SOCKET_URL, upgradeFor } from "../../calls/socket-caller.ts";
import { type Caller, WORKER } from "../../core/access/caller.ts";
import type { TopicDescription } from "../../core/cluster/topics.ts";
import type { BrokerError } from "../../core/errors.ts";
import { type Env, groupStub, type Meter } from "../../env.ts";
import { followingSocket } from "../../member/following-socket.ts";
import { listen, type Socket, type SocketEvents, type Transport } from "../../member/transport.ts";
import { CLOSE_UNAUTHENTICATED, errorOfClose } from "../../protocol/close-codes.ts";
import { watchUrl } from "../../protocol/watch-socket.ts";
import { beginOf, knowTopic, partitionAt, relayAt } from "./metadata.ts";

/** Watches a group for a member that speaks Kafka's protocol: see watch-socket.ts. */
export function openWatch(
  env: Env,
  groupId: string,
  memberId: string,
  events: SocketEvents,
): Socket {
  const url = watchUrl(memberId);
  return connect(() => groupStub(env, groupId), metered(env, events), WORKER, {
    url,
    meter: env.meter,
  });
}

type Fetcher = { fetch(input: string, init: RequestInit): Promise<Response> };

/**
 * [ACL-7] The objects judge the messages of these sockets by the rights of `caller`. [ACL-8] `ended` is called
 * if one of them is closed because the caller's credential is no longer valid.
 */
export function stubTransport(
  env: Env,
  asking: Caller,
  ended: (error: BrokerError) => void = () => {},
): Transport {
  // [TEN-2] The session translates names itself. The rights stay within the namespace.
  const caller = { ...asking, namespace: undefined };
  const { meter } = env;
  const watched = (events: SocketEvents): SocketEvents => ({
    ...metered(env, events),
    closed: (code, reason) => {
      if (code === CLOSE_UNAUTHENTICATED) ended(errorOfClose(reason));
      events.closed(code, reason);
    },
  });
  return {
    openGroup: (groupId, events) =>
      connect(() => groupStub(env, groupId), watched(events), caller, { meter }),
    openPartition: ({ topicId, partition }, events) => {
      const known = knowTopic(env, topicId);
      const open = (relay: number | null, heard: SocketEvents) =>
        connect(
          () =>
            relay === null
              ? partitionAt(env, topicId, partition)
              : relayAt(env, { topicId, partition, relay }),
          heard,
          caller,
          relay === null
            ? { meter, after: known, begin: () => beginOf(env, topicId, partition) }
            : { meter, after: known },
        );
      return followingSocket(open, watched(events));
    },
  };
}

/** [SES-14] Counts incoming messages. */
function metered({ meter }: Env, events: SocketEvents): SocketEvents {
  if (meter === undefined) return events;
  return {
    ...events,
    text: (data) => {
      count(meter, data);
      events.text(data);
    },
    bytes: (data) => {
      count(meter, data);
      events.bytes(data);
    },
  };
}

function count(meter: Meter, { length }: string | Uint8Array): void {
  meter.did("message");
  meter.did("byte", length);
}

function connect(
  find: () => Fetcher,
  events: SocketEvents,
  caller: Caller,
  {
    url = OBJECT_SOCKET_URL,
    meter,
    after,
    begin = () => undefined,
  }: {
    readonly url?: string;
    readonly meter?: Meter | undefined;
    readonly after?: Promise<void>;
    readonly begin?: () => TopicDescription | undefined;
  } = {},
): Socket {
  let socket: WebSocket | null = null;
  let isClosed = false;
  const open = async () => {
    await after;
    const response = await find().fetch(url, upgradeFor(caller, begin()));
    const accepted = response.webSocket;
    if (accepted === null) throw new Error(`the object answered ${response.status}`);
    accepted.accept();
    if (isClosed) {
      accepted.close(1000, "no longer wanted");
      return;
    }
    socket = accepted;
    listen(accepted as never, events);
    events.opened();
  };
  open().catch((error: unknown) => {
    if (!isClosed) events.closed(1006, error instanceof Error ? error.message : String(error));
  });
  return {
    send: (data) => {
      if (meter !== undefined) count(meter, data);
      try {
        socket?.send(data);
      } catch {
        // The close event follows.
      }
    },
    close: (code, reason) => {
      isClosed = true;
      try {
        socket?.close(code, reason);
      } catch {
        // It is already closed.
      }
    },
  };
}
