// The sockets of objects: silent ones, and the small helpers around all of them.

import { afterEach, describe, expect, test, vi } from "vitest";
import { SilentSockets } from "../../../../durable-objects/shared/silent-sockets.ts";
import {
  assertRead,
  close,
  closeFatal,
  errorFields,
  finishClose,
  send,
  sendJson,
} from "../../../../durable-objects/shared/socket.ts";
import {
  attachState,
  callerOn,
  keyCheckedMs,
  setCaller,
  setKeyChecked,
} from "../../../../durable-objects/shared/socket-caller.ts";
import { ANYBODY, type Caller, NOBODY } from "../../../../src/core/access/caller.ts";
import { BrokerError, fail } from "../../../../src/core/errors.ts";
import { MAX_SOCKET_UNREAD_BYTES } from "../../../../src/core/limits.ts";
import { CLOSE_FATAL } from "../../../../src/protocol/close-codes.ts";
import { fakeSocket, type TestedSocket } from "../../../support/fake-socket.ts";
import { messagesIn } from "../../../support/log-lines.ts";

afterEach(() => {
  vi.restoreAllMocks();
});

describe("who opened a socket", () => {
  const caller: Caller = {
    principal: "User:語",
    grants: [{ topics: { prefix: "n.🚀" }, operations: ["READ"] }],
    expiresAtMs: 1,
    keyId: "k",
    namespace: "n.",
    quota: { connections: 2 },
  };
  /** The same socket, after the object has slept. */
  const awake = (socket: TestedSocket): TestedSocket => {
    const other = fakeSocket();
    other.serializeAttachment(socket.deserializeAttachment());
    return other;
  };

  test("[ACL-9] is kept as bytes, and is the same after hibernation, whatever else is kept", () => {
    const socket = fakeSocket();
    setCaller(socket, caller);
    setKeyChecked(socket, 7);
    attachState(socket, { a: 1 });
    expect(socket.deserializeAttachment()).toEqual({
      a: 1,
      caller: expect.any(Uint8Array),
      keyCheckedMs: 7,
    });
    const woken = awake(socket);
    expect(callerOn(woken)).toEqual(caller);
    expect(keyCheckedMs(woken)).toBe(7);
    attachState(woken, null);
    expect(callerOn(awake(woken))).toEqual(caller);
  });

  test("[ACL-7] is anybody, nobody or a token of anybody's after hibernation as before it", () => {
    const token = { ...caller, principal: ANYBODY.principal, keyId: null };
    for (const one of [ANYBODY, NOBODY, token]) {
      const socket = fakeSocket();
      setCaller(socket, one);
      attachState(socket, null);
      expect(callerOn(awake(socket))).toEqual(one);
    }
  });

  test("[ACL-9] is read from earlier attachments, where it is an object", () => {
    const socket = fakeSocket();
    socket.serializeAttachment({ a: 1, caller });
    expect(callerOn(socket)).toEqual(caller);
    attachState(socket, { a: 2 });
    expect(callerOn(awake(socket))).toEqual(caller);
  });
});

describe("silent sockets", () => {
  /** Sockets that were accepted one after another, the oldest first. */
  function silentOnes(count: number, silent = new SilentSockets([])) {
    const sockets = Array.from({ length: count }, (_, index) => {
      const socket = fakeSocket();
      silent.add(socket, 1_000 + index);
      return socket;
    });
    return { silent, sockets };
  }

  const closedOf = (sockets: readonly TestedSocket[]) =>
    sockets.map(({ closed }) => closed !== null);

  test("[BND-15] below the bound nobody makes room, at the bound the one silent for longest", () => {
    const { silent, sockets } = silentOnes(3);
    expect(silent.hasRoom(sockets, 4)).toBe(true);
    expect(closedOf(sockets)).toEqual([false, false, false]);
    expect(silent.hasRoom(sockets, 3)).toBe(true);
    expect(closedOf(sockets)).toEqual([true, false, false]);
    expect(sockets[0]?.closed).toEqual({
      code: CLOSE_FATAL,
      reason: "THROTTLING_QUOTA_EXCEEDED: there are 3 sockets, and this one is silent for longest",
    });
  });

  test("[BND-15] a socket that is closing makes room, and no second one must go for it", () => {
    const { silent, sockets } = silentOnes(3);
    silent.hasRoom(sockets, 3);
    expect(silent.hasRoom(sockets, 3)).toBe(true);
    expect(closedOf(sockets)).toEqual([true, false, false]);
  });

  test("[BND-15] a silent socket that is already closing is skipped", () => {
    const { silent, sockets } = silentOnes(3);
    sockets[0]?.close(1000, "");
    const spoken = fakeSocket();
    expect(silent.hasRoom([...sockets, spoken], 3)).toBe(true);
    expect(closedOf(sockets)).toEqual([true, true, false]);
  });

  test("[BND-15] one that has spoken is not silent, and without a silent one there is no room", () => {
    const { silent, sockets } = silentOnes(2);
    const [first, second] = sockets as [TestedSocket, TestedSocket];
    expect(silent.delete(first)).toBe(true);
    expect(silent.delete(first)).toBe(false);
    expect(silent.hasRoom(sockets, 2)).toBe(true);
    expect([first.closed, second.closed?.code]).toEqual([null, CLOSE_FATAL]);
    const others = [first, fakeSocket()];
    expect(silent.hasRoom(others, 2)).toBe(false);
    expect(silent.hasRoom(others, 3)).toBe(true);
  });

  test("[BND-15] after an eviction the order is the same, whatever the order of the sockets", () => {
    const { sockets } = silentOnes(3);
    const [first, second, third] = sockets as [TestedSocket, TestedSocket, TestedSocket];
    const spoken = fakeSocket();
    spoken.serializeAttachment({ memberId: "m" });
    const unnoted = fakeSocket(); // As an old release left it.
    const all = [third, spoken, first, unnoted, second];
    const woken = new SilentSockets(all);
    const order: (TestedSocket | undefined)[] = [];
    for (let bound = all.length; woken.hasRoom(all, bound); bound--)
      order.push(all.find((each) => each.closed !== null && !order.includes(each)));
    expect(order.map((each) => (each === undefined ? -1 : all.indexOf(each)))).toEqual([
      3, 2, 4, 0,
    ]);
    expect(spoken.closed).toBe(null);
  });
});

describe("an object's socket", () => {
  test("[BND-17] a client may leave as much unread as the bound, and not a byte more", () => {
    const socket = fakeSocket();
    assertRead(socket);
    socket.bufferedAmount = MAX_SOCKET_UNREAD_BYTES;
    assertRead(socket);
    socket.bufferedAmount++;
    expect(() => assertRead(socket)).toThrow(
      expect.objectContaining({
        code: "THROTTLING_QUOTA_EXCEEDED",
        message: `${MAX_SOCKET_UNREAD_BYTES + 1} bytes that were sent are not read, the bound is ${MAX_SOCKET_UNREAD_BYTES}`,
      }),
    );
    assertRead({} as WebSocket); // The runtime does not report it.
  });

  test("[HIB-1] one that has gone accepts nothing and disturbs nobody", () => {
    const socket = fakeSocket();
    sendJson(socket, { type: "a" });
    close(socket, 1000, "first");
    close(socket, 4000, "second");
    send(socket, "lost");
    expect(socket.sent).toEqual([{ type: "a" }]);
    expect(socket.closed).toEqual({ code: 1000, reason: "first" });
  });

  test.each([
    [1000, 1000],
    [1001, 1000],
    [1005, 1000],
    [1006, 1000],
    [2999, 1000],
    [3000, 3000],
    [4004, 4004],
  ])("[GRP-5] a close with %d is answered with %d", (code, answer) => {
    const socket = fakeSocket();
    finishClose(socket, code);
    expect(socket.closed).toEqual({ code: answer, reason: "" });
  });

  test("[ERR-3] a fatal error is sent with its code, and only an unexpected one is logged", () => {
    const logged = vi.spyOn(console, "error").mockReturnValue();
    const [known, unknown] = [fakeSocket(), fakeSocket()];
    closeFatal(known, new BrokerError("INVALID_REQUEST", "offset is -1"));
    expect(known.closed).toEqual({ code: CLOSE_FATAL, reason: "INVALID_REQUEST: offset is -1" });
    expect(logged).not.toHaveBeenCalled();
    const bug = new TypeError("x is undefined");
    closeFatal(unknown, bug);
    expect(unknown.closed?.reason).toMatch(/^UNKNOWN_SERVER_ERROR: an unexpected error/);
    expect(messagesIn(logged.mock.calls)).toEqual([
      expect.stringMatching(/^TypeError: x is undefined\n/),
    ]);
  });

  test("[ERR-1] an error says whether a retry may help, otherwise its code does", () => {
    const failure = fail("KAFKA_STORAGE_ERROR", "no room");
    expect(errorFields(failure)).toEqual({
      code: "KAFKA_STORAGE_ERROR",
      errorCode: 56,
      retriable: true,
      detail: "no room",
    });
    expect(errorFields({ ...failure, retriable: false }).retriable).toBe(false);
    expect(errorFields(fail("INVALID_REQUEST", "")).retriable).toBe(false);
  });
});
