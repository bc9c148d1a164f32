// A socket that follows from a partition to its relay, unnoticed by its user.
import { expect, test } from "vitest";
import { followingSocket } from "../../../src/member/following-socket.ts";
import type { Socket, SocketEvents } from "../../../src/member/transport.ts";

interface Opened {
  readonly relay: number | null;
  readonly events: SocketEvents;
  readonly sent: unknown[];
  isClosed: boolean;
}

function bench() {
  const opened: Opened[] = [];
  const heard: unknown[] = [];
  const open = (relay: number | null, events: SocketEvents): Socket => {
    const own: Opened = { relay, events, sent: [], isClosed: false };
    opened.push(own);
    return {
      send: (data) =>
        void own.sent.push(typeof data === "string" && data !== "ping" ? JSON.parse(data) : data),
      close: () => {
        own.isClosed = true;
      },
    };
  };
  const socket = followingSocket(open, {
    opened: () => heard.push("opened"),
    text: (data) => heard.push(data === "pong" ? data : JSON.parse(data)),
    bytes: (data) => heard.push(data),
    closed: (code) => heard.push(code),
  });
  const send = (message: object) => socket.send(JSON.stringify(message));
  return { socket, opened, heard, send };
}

const ATTACH = { type: "attach", attachId: 1, offset: "latest", windowBytes: 10 };
const named = (attachId: number, offset = 7) =>
  JSON.stringify({
    type: "relay",
    attachId,
    relay: 3,
    offset,
    logStartOffset: 0,
    highWatermark: 7,
  });

function moved() {
  const each = bench();
  const [partition] = each.opened as [Opened];
  partition.events.opened();
  each.send(ATTACH);
  partition.events.text(named(1));
  const [, relay] = each.opened as [Opened, Opened];
  return { ...each, partition, relay };
}

test("[RLY-1] it says that it can follow, unless it attaches as an owner", () => {
  const { opened, send, socket, heard } = bench();
  const [partition] = opened as [Opened];
  const owned = { ...ATTACH, owner: { group: "g" } };
  send(ATTACH);
  send(owned);
  send({ type: "window", attachId: 1, bytes: 5 });
  socket.send("ping");
  socket.send(new Uint8Array([1]));
  expect(partition.sent).toEqual([
    { ...ATTACH, relays: true },
    owned,
    { type: "window", attachId: 1, bytes: 5 },
    "ping",
    new Uint8Array([1]),
  ]);
  partition.events.text('{"type":"attached"}');
  partition.events.text("pong");
  partition.events.closed(1006, "");
  expect(heard).toEqual([{ type: "attached" }, "pong", 1006]);
});

test("[RLY-1] sent to a relay, it attaches there where the partition said, and leaves the partition", () => {
  const { partition, relay, heard, send, socket } = moved();
  expect(partition.isClosed).toBe(true);
  expect(relay.relay).toBe(3);
  relay.events.opened();
  expect(relay.sent).toEqual([{ ...ATTACH, offset: 7 }]);
  partition.events.bytes(new Uint8Array([9]));
  partition.events.text('{"type":"attached"}');
  partition.events.closed(1000, "");
  relay.events.text('{"type":"attached"}');
  relay.events.bytes(new Uint8Array([1]));
  expect(heard).toEqual(["opened", { type: "attached" }, new Uint8Array([1])]);
  send({ type: "window", attachId: 1, bytes: 5 });
  send({ ...ATTACH, attachId: 2, offset: 3 });
  expect(relay.sent.slice(1)).toEqual([
    { type: "window", attachId: 1, bytes: 5 },
    { ...ATTACH, attachId: 2, offset: 3 },
  ]);
  relay.events.closed(4000, "");
  expect(heard.at(-1)).toBe(4000);
  socket.close(1000, "done");
  expect(relay.isClosed).toBe(true);
});

test("[RLY-1] a pending attach counts, and only the last one", () => {
  const { relay, send, socket } = moved();
  send({ ...ATTACH, attachId: 2, offset: 4 });
  send({ type: "window", attachId: 1, bytes: 5 });
  socket.send("ping");
  expect(relay.sent).toEqual([]);
  relay.events.opened();
  expect(relay.sent).toEqual([{ ...ATTACH, attachId: 2, offset: 4 }]);
});

test("[RLY-1] a response to an attach before the last does not say where the last one reads", () => {
  const { opened, send } = bench();
  const [partition] = opened as [Opened];
  send(ATTACH);
  send({ ...ATTACH, attachId: 2, offset: 4 });
  partition.events.text(named(1));
  const [, relay] = opened as [Opened, Opened];
  relay.events.opened();
  expect(relay.sent).toEqual([{ ...ATTACH, attachId: 2, offset: 4 }]);
});

test("[RLY-1] an unreachable relay closes it, so its user begins at the partition again", () => {
  const { relay, heard } = moved();
  relay.events.closed(1006, "");
  expect(heard).toEqual(["opened", 1006]);
});

test("[RLY-1] a closed one follows nowhere any more", () => {
  const { socket, opened, send } = bench();
  const [partition] = opened as [Opened];
  partition.events.opened();
  send(ATTACH);
  socket.close(1000, "done");
  partition.events.text(named(1));
  expect(opened).toHaveLength(1);
  expect(partition.isClosed).toBe(true);
});
