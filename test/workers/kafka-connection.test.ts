// What a connection of a Kafka client is bounded by.
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import {
  MAX_ALL_FEEDS_BYTES,
  MAX_FEEDS_BYTES,
  MAX_KAFKA_CALLS,
  MAX_KAFKA_CONNECTIONS,
  MAX_KAFKA_IN_FLIGHT_BYTES,
  MAX_KAFKA_QUEUED_BYTES,
} from "../../src/core/limits.ts";
import { isolate } from "../../src/edge/isolate.ts";
import type { Env } from "../../src/env.ts";
import { CallBudget } from "../../src/kafka/budget.ts";
import { Connection } from "../../src/kafka/connection.ts";
import { hasRoomForFeed, InFlight } from "../../src/kafka/in-flight.ts";
import { API_VERSIONS, FIND_COORDINATOR, METADATA } from "../../src/kafka/messages.ts";
import { Nodes } from "../../src/kafka/nodes.ts";
import { Watches } from "../../src/kafka/watches.ts";
import { PONG } from "../../src/protocol/heartbeat.ts";
import { encodeRequest } from "../support/kafka-frames.ts";
import { eventually } from "./support.ts";

beforeEach(async () => {
  // Other tests run in the same isolate.
  await eventually(async () => isolate.kafka.connections === 0, "others' connections to be closed");
});
afterEach(() => {
  vi.useRealTimers();
  expect(isolate.kafka).toEqual({ connections: 0, bytes: 0, fedBytes: 0 });
});

/** A broker whose objects answer nothing, or what `answer` does. */
function envOf(answer: () => Promise<unknown> = () => new Promise(() => {})): Env {
  const stub = new Proxy({}, { get: () => answer });
  const namespace = { getByName: () => stub };
  return { CLUSTER: namespace, PARTITION: namespace, GROUP: namespace } as unknown as Env;
}

function open(env: Env, onIdle: (error: Error) => void = () => {}): Connection {
  const nodes = new Nodes([{ host: "h", port: 1 }], null);
  return new Connection({ env, nodes, clientHost: "/", onIdle, idleMs: IDLE_MS });
}

const IDLE_MS = 200;
const asks = encodeRequest(API_VERSIONS, 0, {});

test("[KFK-21] a connection on which nothing is asked is closed, one that waits for an answer is not", async () => {
  const idle: string[] = [];
  const quiet = open(envOf(), ({ message }) => idle.push(message));
  const busy = open(envOf(), () => idle.push("busy"));
  const asking = open(envOf(), () => idle.push("asking"));
  void busy.answer(encodeRequest(METADATA, 1, { topics: null }));
  await eventually(async () => {
    await asking.answer(asks);
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
    await new Promise((resolve) => setImmediate(resolve)); // What the group says has come.
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
  const budget = new CallBudget(envOf());
  for (let i = 1; i < MAX_KAFKA_CALLS; i++) budget.env.PARTITION.getByName("p");
  expect(budget.isSpent).toBe(false);
  budget.env.GROUP.getByName("g");
  expect(budget.isSpent).toBe(true);
});

test("[KFK-21] what is in flight is bounded for one connection and for all of them", () => {
  const one = new InFlight();
  one.set(MAX_KAFKA_QUEUED_BYTES);
  expect(() => one.set(MAX_KAFKA_QUEUED_BYTES + 1)).toThrow(
    `${MAX_KAFKA_QUEUED_BYTES + 1} bytes of this connection wait for an answer`,
  );
  one.close();
  const count = MAX_KAFKA_IN_FLIGHT_BYTES / MAX_KAFKA_QUEUED_BYTES;
  const many = Array.from({ length: count }, () => new InFlight());
  for (const each of many) each.set(MAX_KAFKA_QUEUED_BYTES);
  const late = new InFlight();
  expect(() => late.set(1)).toThrow("bytes of all connections wait");
  late.close();
  many[0]?.set(0);
  const after = new InFlight();
  after.set(1);
  for (const each of [...many, after]) each.close();
});

test("[KFK-21] connections are counted, and what their feeds hold", () => {
  const all = Array.from({ length: MAX_KAFKA_CONNECTIONS }, () => new InFlight());
  expect(() => new InFlight()).toThrow(`${MAX_KAFKA_CONNECTIONS} Kafka connections, the bound`);
  for (const each of all) each.close();
  expect(hasRoomForFeed(1, MAX_FEEDS_BYTES - 1)).toBe(true);
  expect(hasRoomForFeed(1, MAX_FEEDS_BYTES)).toBe(false);
  isolate.kafka.fedBytes = MAX_ALL_FEEDS_BYTES;
  expect(hasRoomForFeed(1, 1)).toBe(false);
  expect(hasRoomForFeed(0, MAX_FEEDS_BYTES + 1)).toBe(true); // Or it would never get on.
  isolate.kafka.fedBytes = 0;
});
