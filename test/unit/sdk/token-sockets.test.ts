// Sockets with a token: a new one in time, and the end of an invalid credential.
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Socket, SocketEvents } from "../../../src/member/transport.ts";
import { RENEWED } from "../../../src/member/transport.ts";
import { CLOSE_FATAL, CLOSE_UNAUTHENTICATED } from "../../../src/protocol/close-codes.ts";
import { type Token, tokenTransport } from "../../../src/sdk/token.ts";
import { renewalMs } from "../../../src/sdk/token-sockets.ts";
import { started } from "../../support/one-member-broker.ts";

const NOW_MS = Date.parse("2026-11-28T12:00:00Z");
const EXPIRED = "SASL_AUTHENTICATION_FAILED: the credential has expired";

beforeEach(() => {
  vi.useFakeTimers({ now: NOW_MS });
  vi.spyOn(Math, "random").mockReturnValue(0);
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

/** A JWT as far as it is read here. */
function jwt(leftMs: number, name = "a"): string {
  const claims = { sub: `\u00ff?>${name}`, exp: (Date.now() + leftMs) / 1_000 };
  const encoded = btoa(JSON.stringify(claims)).replaceAll("+", "-").replaceAll("/", "_");
  return `e30.${encoded.replaceAll("=", "")}.c2ln`;
}

/** A consumer's view of its group's sockets, and the sockets themselves. */
function sockets(token: Token) {
  const opened: { readonly token: string; readonly events: SocketEvents; closed: unknown }[] = [];
  const seen: unknown[] = [];
  const transport = tokenTransport(token, (value) => {
    const open = (_place: unknown, events: SocketEvents): Socket => {
      const socket = { token: value, events, closed: null as unknown };
      opened.push(socket);
      return {
        send: () => {},
        close: (code, reason) => {
          socket.closed = [code, reason];
          queueMicrotask(() => events.closed(code, reason));
        },
      };
    };
    return { openGroup: open, openPartition: open };
  });
  const open = async () => {
    const socket = transport.openGroup("g", {
      opened: () => seen.push("opened"),
      text: (data) => seen.push(data),
      bytes: () => seen.push("bytes"),
      closed: (code, reason) => seen.push([code, reason]),
    });
    await vi.dynamicImportSettled();
    await vi.advanceTimersByTimeAsync(0);
    return socket;
  };
  const take = () => seen.splice(0);
  return { opened, open, take };
}

test("[SDK-40] a token of a quarter of an hour is replaced a minute before, and the older socket says nothing more", async () => {
  let asked = 0;
  const { opened, open, take } = sockets(async () => jwt(900_000, `t${++asked}`));
  await open();
  opened[0]?.events.opened();
  await vi.advanceTimersByTimeAsync(839_000);
  expect(take()).toEqual(["opened"]);
  expect(asked).toBe(1);
  await vi.advanceTimersByTimeAsync(2_000);
  expect(asked, "whether there is another one").toBe(2);
  expect(take(), "told once").toEqual([[RENEWED, ""]]);
  expect(opened[0]?.closed, "which is not a leave").toEqual([4004, "the token expires soon"]);
  opened[0]?.events.text("late");
  opened[0]?.events.bytes(new Uint8Array(1));
  expect(take()).toEqual([]);
});

test.each([
  ["that fails", () => Promise.reject(new Error("no key"))],
  ["that has no newer token", null],
])(
  "[SDK-40] with a function %s, the socket stays until the broker closes it",
  async (_what, later) => {
    const first = jwt(100_000);
    let isFirst = true;
    const { opened, open, take } = sockets(async () => {
      if (isFirst || later === null) {
        isFirst = false;
        return first;
      }
      return await later();
    });
    await open();
    opened[0]?.events.opened();
    await vi.advanceTimersByTimeAsync(200_000);
    expect(take()).toEqual(["opened"]);
    opened[0]?.events.closed(CLOSE_UNAUTHENTICATED, EXPIRED);
    expect(take(), "connect again").toEqual([[CLOSE_UNAUTHENTICATED, EXPIRED]]);
  },
);

test("[SDK-40] a closed socket asks for no other token", async () => {
  let asked = 0;
  const { opened, open, take } = sockets(async () => jwt(60_000, `t${++asked}`));
  const socket = await open();
  socket.close(1000, "done");
  const broken = await open();
  opened[1]?.events.closed(1006, "");
  await vi.advanceTimersByTimeAsync(120_000);
  expect(asked).toBe(2);
  expect(take()).toEqual([
    [1000, "done"],
    [1006, ""],
  ]);
  broken.close(1000, "done");
});

test.each([
  ["an hour", 3_600_000, 0, 3_540_000],
  ["an hour, at the earliest", 3_600_000, 1, 3_510_000],
  ["a minute", 60_000, 0, 48_000],
  ["ten seconds", 10_000, 1, 7_000],
  ["no time", 0, 0, null],
  ["an hour ago", -3_600_000, 0, null],
  ["a year", 365 * 86_400_000, 0, null],
])("[SDK-40] a token that expires in %s is replaced in time", (_what, leftMs, random, waitMs) => {
  expect(renewalMs(jwt(leftMs), NOW_MS, random)).toBe(waitMs);
});

test.each(["rvk_abc_def", "", "a.b.c", "a", `a.${btoa('{"exp":"1"}')}.c`, `a.${btoa("null")}.c`])(
  "[SDK-40] it is unknown when %o expires",
  (token) => {
    expect(renewalMs(token, NOW_MS, 0)).toBe(null);
  },
);

test.each([
  [
    "closes the next one too",
    (events: SocketEvents) => {
      events.opened();
      events.closed(CLOSE_UNAUTHENTICATED, EXPIRED);
    },
  ],
  ["does not open the next one", (events: SocketEvents) => events.closed(1006, "")],
])(
  "[SDK-40] with one credential it is over once the broker has closed a socket for it and %s",
  async (_what, fail) => {
    const { opened, open, take } = sockets("rvk_a_b");
    await open();
    await open();
    for (const { events } of opened) events.opened();
    take();
    for (const { events } of opened) events.closed(CLOSE_UNAUTHENTICATED, EXPIRED);
    expect(take(), "both were there before").toEqual(
      Array(2).fill([CLOSE_UNAUTHENTICATED, EXPIRED]),
    );
    await open();
    if (opened[2]) fail(opened[2].events);
    expect(take().at(-1)).toEqual([CLOSE_FATAL, EXPIRED]);
  },
);

test("[SDK-40] a credential that is valid again starts afresh, and a function may have another", async () => {
  const constant = sockets("rvk_a_b");
  const other = sockets(() => "t");
  for (const { opened, open, take } of [constant, other]) {
    await open();
    opened[0]?.events.opened();
    opened[0]?.events.closed(CLOSE_UNAUTHENTICATED, EXPIRED);
    await open();
    opened[1]?.events.opened();
    if (opened[1]?.token !== "t") opened[1]?.events.text("pong");
    opened[1]?.events.closed(CLOSE_UNAUTHENTICATED, EXPIRED);
    expect(take().at(-1)).toEqual([CLOSE_UNAUTHENTICATED, EXPIRED]);
    await open();
    opened[2]?.events.opened();
    take();
    opened[2]?.events.closed(1006, "");
    expect(take()).toEqual([[1006, ""]]);
  }
});

test.each([
  ["s e&cret", [CLOSE_FATAL, "INVALID_REQUEST: a socket cannot carry this token"]],
  ["a==", [CLOSE_FATAL, "INVALID_REQUEST: a socket cannot carry this token"]],
  [async () => "a/b", [1006, "Error: a socket cannot carry this token"]],
])("[SDK-40] the token %o is rejected, and shown to nobody", async (token, closed) => {
  const { opened, open, take } = sockets(token);
  await open();
  expect(opened).toEqual([]);
  expect(take()).toEqual([closed]);
});

test("[SDK-40] a consumer continues with a new token: it resumes, and its records are not read again", async () => {
  const asked: string[] = [];
  const handled: string[] = [];
  const problems: string[] = [];
  let lost = 0;
  const { broker, consumer, ended } = started(
    {
      onError: ({ code }) => problems.push(code),
      onLost: () => void lost++,
    },
    (place, offset) => void handled.push(`${place}@${offset}`),
    false,
    (transport) =>
      tokenTransport(
        () => {
          const token = jwt(900_000, `t${asked.length}`);
          asked.push(token);
          return token;
        },
        () => transport,
      ),
  );
  await vi.dynamicImportSettled();
  await vi.advanceTimersByTimeAsync(1_000);
  expect(asked, "its group and two partitions").toHaveLength(3);
  const once = [...handled];
  expect(once).toHaveLength(6);
  expect(broker.joins).toEqual([0]);
  await vi.advanceTimersByTimeAsync(850_000);
  expect(broker.joins, "with the epoch that it has").toEqual([0, 1]);
  expect(asked, "each is asked for, and opened with one").toHaveLength(9);
  expect(handled).toEqual(once);
  expect([lost, problems]).toEqual([0, []]);
  await consumer.close();
  await vi.advanceTimersByTimeAsync(1_000);
  expect(ended).toEqual({ error: null, isOver: true });
});

test("[SDK-40] a consumer with one key ends with the refusal, reported once", async () => {
  const problems: string[] = [];
  const { broker, ended } = started(
    { onError: ({ code }) => problems.push(code) },
    () => {},
    false,
    (transport) => tokenTransport("rvk_a_b", () => transport),
  );
  await vi.dynamicImportSettled();
  await vi.advanceTimersByTimeAsync(1_000);
  broker.isClosed = true;
  broker.closeGroup(CLOSE_UNAUTHENTICATED, "SASL_AUTHENTICATION_FAILED: the API key was revoked");
  await vi.advanceTimersByTimeAsync(1_000);
  expect(ended.isOver).toBe(true);
  expect(ended.error).toMatchObject({
    code: "SASL_AUTHENTICATION_FAILED",
    message: "the API key was revoked",
  });
  expect(problems).toEqual(["NETWORK_EXCEPTION"]);
});
