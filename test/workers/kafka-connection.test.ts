// The bounds of a Kafka client's connection.
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { MAX_INVOCATION_CALLS } from "../../src/core/limits.ts";
import type { Env } from "../../src/env.ts";
import { PONG } from "../../src/protocol/heartbeat.ts";
import { Invocation } from "../../src/worker/edge/invocation.ts";
import { isolate } from "../../src/worker/edge/isolate.ts";
import { Connection } from "../../src/worker/kafka/connection.ts";
import { Nodes } from "../../src/worker/kafka/nodes.ts";
import { Watches } from "../../src/worker/kafka/watches.ts";
import { encodeRequest } from "../support/kafka-frames.ts";
import { API_VERSIONS, FIND_COORDINATOR, METADATA } from "../support/kafka-schemas.ts";
import { envOf, held, NOTHING } from "./kafka-isolate.ts";
import { eventually } from "./support.ts";

beforeEach(async () => {
  // Other tests run in the same isolate.
  await eventually(
    async () => isolate.kafka.connections.size === 0,
    "others' connections to be closed",
  );
});
afterEach(() => {
  vi.useRealTimers();
  expect(held()).toEqual(NOTHING);
});

function open(env: Env, end: (error: Error) => void = () => {}): Connection {
  const nodes = new Nodes([{ host: "h", port: 1 }], null);
  const patience = { silentMs: IDLE_MS, idleMs: IDLE_MS, halfSentMs: IDLE_MS, stalledMs: IDLE_MS };
  return new Connection({ env, nodes, clientHost: "/", way: "tcp", end, patience });
}

/** One request with its response, which is taken. */
async function ask(connection: Connection): Promise<void> {
  await connection.answer(asks);
  connection.answered();
  connection.expectRequest(0);
}

const IDLE_MS = 200;
const asks = encodeRequest(API_VERSIONS, 0, {});

test("[KFK-21] a connection without requests is closed, one that waits for a response is not", async () => {
  const idle: string[] = [];
  const quiet = open(envOf(), ({ message }) => idle.push(message));
  await ask(quiet);
  const busy = open(envOf(), () => idle.push("busy"));
  const asking = open(envOf(), () => idle.push("asking"));
  void busy.answer(encodeRequest(METADATA, 1, { topics: null }));
  await eventually(async () => {
    await ask(asking);
    return idle.length > 0;
  }, "the quiet one to be closed");
  expect(idle[0]).toBe(`no request came for ${IDLE_MS} ms`);
  await eventually(async () => idle.length > 1, "the one that asks no more");
  expect(idle[1]).toBe("asking");
  for (const connection of [quiet, busy, asking]) connection.close();
});

test("[KFK-20] a group whose answers to PINGs stay away is asked again, over a new watch", async () => {
  let isAnswering = true;
  let opened = 0;
  const fetch = async () => {
    opened++;
    const { 0: client, 1: server } = new WebSocketPair();
    server.accept();
    server.addEventListener("message", () => isAnswering && server.send(PONG));
    return new Response(null, { status: 101, webSocket: client });
  };
  const env = { ...envOf(), GROUP: { getByName: () => ({ fetch }) } } as unknown as Env;
  const watches = new Watches(env);
  let asked = 0;
  const beat = async () => {
    const before = asked;
    await watches.heartbeat("g", "m", "said", async () => ({ answer: ++asked, isQuiet: true }));
    await new Promise((resolve) => setImmediate(resolve)); // The group's message has arrived.
    return asked > before;
  };
  while (await beat()); // Until it is watched.
  for (let i = 0; i < 3; i++) {
    vi.setSystemTime(Date.now() + 60_000);
    expect(await beat()).toBe(false);
  }
  isAnswering = false;
  expect(await beat()).toBe(false);
  vi.setSystemTime(Date.now() + 1_999);
  expect(await beat()).toBe(false);
  vi.setSystemTime(Date.now() + 1);
  expect(await beat()).toBe(true);
  expect(opened).toBe(1);
  isAnswering = true;
  while (await beat());
  expect(opened).toBe(2);
  watches.close();
});

test("[KFK-21] calls are counted, and a connection that has made all of its own is spent", async () => {
  const connection = open(envOf(async () => ({ ok: true, topics: [] })));
  await connection.answer(encodeRequest(FIND_COORDINATOR, 0, { key: "g" }));
  expect(connection.isSpent).toBe(false);
  connection.close();
  const budget = new Invocation(envOf());
  for (let i = 1; i < MAX_INVOCATION_CALLS; i++) budget.env.PARTITION.getByName("p");
  expect(budget.isSpent).toBe(false);
  budget.env.GROUP.getByName("g");
  expect(budget.isSpent).toBe(true);
});
