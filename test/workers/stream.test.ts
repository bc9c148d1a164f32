// GET /v1/topics/:topic/stream: server-sent events and the same over a WebSocket, without a group.
import { exports } from "cloudflare:workers";
import { afterEach, describe, expect, test, vi } from "vitest";
import { partitionStub } from "../../src/env.ts";
import type { PlainServerMessage } from "../../src/protocol/plain-consumer.ts";
import {
  call,
  committedOffsets,
  createTopic,
  env,
  eventually,
  expectStatus,
  guarded,
  type JsonRecord,
  produce,
  TestSocket,
  type TopicJson,
  TWINS,
  unique,
} from "./support.ts";

interface SseEvent {
  readonly id?: string;
  readonly event?: string;
  readonly data?: JsonRecord & { partition: number; code?: string };
}

const isOf = (message: unknown, type: string) => (message as { type?: string }).type === type;
const isRecords = (message: unknown): message is PlainServerMessage & { type: "records" } =>
  isOf(message, "records");

const open: EventReader[] = [];

afterEach(async () => {
  for (const reader of open.splice(0)) await reader.close();
});

/** The behavior of a browser's EventSource, as far as needed. */
class EventReader {
  readonly headers: Headers;
  lastEventId = "";
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #utf8 = new TextDecoder();
  #text = "";

  private constructor(response: Response) {
    this.headers = response.headers;
    this.#reader = (response.body as ReadableStream<Uint8Array>).getReader();
    open.push(this);
  }

  static async open(topic: string, query = "", lastEventId?: string): Promise<EventReader> {
    const response = await exports.default.fetch(
      `https://localhost/v1/topics/${topic}/stream${query}`,
      {
        headers: lastEventId === undefined ? {} : { "last-event-id": lastEventId },
      },
    );
    expect(response.status).toBe(200);
    return new EventReader(response);
  }

  /** The next event that has data, or null at the end of the stream. */
  async next(): Promise<SseEvent | null> {
    for (;;) {
      const block = await this.#block();
      if (block === null) return null;
      const fields = Object.fromEntries(
        block
          .split("\n")
          .filter((line) => !line.startsWith(":"))
          .map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 2)]),
      );
      this.lastEventId = fields.id ?? this.lastEventId;
      if (fields.data !== undefined) return { ...fields, data: JSON.parse(fields.data) };
    }
  }

  /** Reads until a position is known. */
  async position(): Promise<void> {
    while (this.lastEventId === "") {
      const block = await this.#block();
      this.lastEventId = /^id: (.*)$/m.exec(block ?? "")?.[1] ?? "";
    }
  }

  async #block(): Promise<string | null> {
    for (;;) {
      const end = this.#text.indexOf("\n\n");
      if (end !== -1) {
        const block = this.#text.slice(0, end);
        this.#text = this.#text.slice(end + 2);
        return block;
      }
      const { done, value } = await guarded(this.#reader.read(), "an event");
      if (done) return null;
      this.#text += this.#utf8.decode(value, { stream: true });
    }
  }

  async take(count: number): Promise<unknown[]> {
    const values: unknown[] = [];
    while (values.length < count) values.push((await this.next())?.data?.value);
    return values;
  }

  async close(): Promise<void> {
    await this.#reader.cancel().catch(() => {});
  }
}

function values(count: number, partition: number, more: object = {}) {
  return Array.from({ length: count }, (_, i) => ({
    value: `${partition}/${i}`,
    partition,
    ...more,
  }));
}

describe("server-sent events", () => {
  test("[STR-1] a partition from an offset, then new records", async () => {
    const topic = await createTopic(1);
    await produce(topic.name, values(3, 0, { key: "k", headers: { h: "1" } }));
    const reader = await EventReader.open(topic.name, "?partition=0&from=1");
    expect(reader.headers.get("content-type")).toBe("text/event-stream");
    expect(await reader.next()).toEqual({
      id: "0:2",
      data: {
        partition: 0,
        offset: 1,
        timestamp: expect.any(Number),
        key: "k",
        value: "0/1",
        headers: { h: "1" },
      },
    });
    expect(await reader.take(1)).toEqual(["0/2"]);
    await produce(topic.name, [{ value: "new" }]);
    expect(await reader.take(1)).toEqual(["new"]);
  });

  test("[STR-2] an invalid Last-Event-ID is rejected", async () => {
    const topic = await createTopic(1);
    const headers = { "last-event-id": "abc" };
    const response = await exports.default.fetch(
      `https://localhost/v1/topics/${topic.name}/stream`,
      {
        headers,
      },
    );
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({
      code: "INVALID_REQUEST",
      detail: expect.stringContaining('got "abc"'),
    });
  });

  test.each(TWINS)(
    "[STR-2] Last-Event-ID continues behind it, in every partition$when",
    async ({ interrupt }) => {
      const topic = await createTopic(2);
      await produce(topic.name, [...values(3, 0), ...values(3, 1)]);
      const first = await EventReader.open(topic.name, "?from=earliest");
      const seen = await first.take(4);
      await first.close();
      for (const partition of [0, 1]) await interrupt(partitionStub(env, topic.topicId, partition));
      const second = await EventReader.open(topic.name, "?from=latest", first.lastEventId);
      seen.push(...(await second.take(2)));
      expect(seen.sort()).toEqual(["0/0", "0/1", "0/2", "1/0", "1/1", "1/2"]);
      // The same as a parameter, for clients that cannot send the header.
      const third = await EventReader.open(topic.name, `?from=${second.lastEventId}`);
      await produce(topic.name, [{ value: "last", partition: 1 }]);
      expect(await third.take(1)).toEqual(["last"]);
    },
  );

  test("[STR-6] a position that retention has passed continues at the log's start, with a notice", async () => {
    const topic = await createTopic(1);
    await produce(topic.name, values(5, 0));
    const path = `/v1/topics/${topic.name}/partitions/0/records?before=3`;
    await expectStatus(200, "DELETE", path);
    for (const lastEventId of ["0:1", "0:99"]) {
      const reader = await EventReader.open(topic.name, "", lastEventId);
      expect(await reader.next()).toMatchObject({
        event: "problem",
        data: { code: "OFFSET_OUT_OF_RANGE" },
      });
      expect(await reader.take(2)).toEqual(["0/3", "0/4"]);
    }
  });

  test("[STR-6] a partition that an id does not name was added since, and is read from its beginning", async () => {
    const topic = await createTopic(1);
    const first = await EventReader.open(topic.name);
    await first.position();
    await first.close();
    await expectStatus(200, "PATCH", `/v1/topics/${topic.name}`, { partitions: 2 });
    await produce(topic.name, values(2, 1));
    const again = await EventReader.open(topic.name, "", first.lastEventId);
    expect(await again.take(2)).toEqual(["1/0", "1/1"]);
    const socket = await TestSocket.open<PlainServerMessage>(
      `/v1/topics/${topic.name}/stream?from=${first.lastEventId}`,
    );
    const { records } = await socket.next(isRecords);
    expect(records[0]?.value).toBe("1/0");
  });

  test("[STR-7] added partitions are read from their beginning while the stream continues", async () => {
    // They ask every 15 s, which is shortened here.
    const { setInterval: real } = globalThis;
    const soon = vi
      .spyOn(globalThis, "setInterval")
      .mockImplementation(((callback: () => void) => real(callback, 20)) as never);
    try {
      const topic = await createTopic(1);
      const stream = await EventReader.open(topic.name);
      await stream.position();
      const socket = await TestSocket.open<PlainServerMessage>(`/v1/topics/${topic.name}/stream`);
      await socket.next((message): message is PlainServerMessage => isOf(message, "assigned"));
      await expectStatus(200, "PATCH", `/v1/topics/${topic.name}`, { partitions: 3 });
      await produce(topic.name, [...values(2, 1), ...values(1, 2)]);
      expect((await stream.take(3)).sort()).toEqual(["1/0", "1/1", "2/0"]);
      const seen: string[] = [];
      while (seen.length < 3) {
        const { records } = await socket.next(isRecords);
        seen.push(...records.map(({ value }) => String(value)));
      }
      expect(seen.sort()).toEqual(["1/0", "1/1", "2/0"]);
    } finally {
      soon.mockRestore();
    }
  });

  test("[STR-2] from latest an empty stream continues where it began", async () => {
    const topic = await createTopic(1);
    await produce(topic.name, values(3, 0));
    const quiet = await EventReader.open(topic.name);
    await quiet.position();
    await quiet.close();
    await produce(topic.name, [{ value: "meanwhile" }]);
    const again = await EventReader.open(topic.name, "", quiet.lastEventId);
    expect(await again.take(1)).toEqual(["meanwhile"]);
  });

  test("[STR-3] filters by key and header; omitted records move the position", async () => {
    const topic = await createTopic(1);
    await produce(
      topic.name,
      [
        { key: "a", value: "1", headers: { kind: "x" } },
        { key: "b", value: "2", headers: { kind: "x" } },
        { key: "a", value: "3", headers: { kind: ["y", "x"] } },
        { key: "a", value: "4", headers: { kind: "y" } },
        { value: "5" },
      ].map((record) => ({ ...record, partition: 0 })),
    );
    const reader = await EventReader.open(topic.name, "?from=earliest&key=a&header.kind=x");
    expect(await reader.take(2)).toEqual(["1", "3"]);
    await produce(topic.name, [{ key: "b", value: "6" }]);
    await produce(topic.name, [{ key: "a", value: "7", headers: { kind: "x" } }]);
    expect(await reader.take(1)).toEqual(["7"]);
    expect(reader.lastEventId).toBe("0:7");
  });

  test("[STR-3] a header may have any name", async () => {
    const topic = await createTopic(1);
    const headers = JSON.parse('{"__proto__":"x"}');
    await produce(topic.name, [{ value: "1" }, { value: "2", headers }]);
    const reader = await EventReader.open(topic.name, "?from=earliest&header.__proto__=x");
    expect(await reader.take(1)).toEqual(["2"]);
  });

  test("[STR-1] a topic that is deleted ends the stream with the reason", async () => {
    const topic = await createTopic(1);
    const reader = await EventReader.open(topic.name, "?from=earliest");
    await produce(topic.name, values(1, 0));
    await reader.take(1);
    await expectStatus(204, "DELETE", `/v1/topics/${topic.name}`);
    expect(await reader.next()).toMatchObject({
      event: "problem",
      data: { code: "UNKNOWN_TOPIC_ID" },
    });
    expect(await reader.next()).toBeNull();
  });

  test("[STR-4] a client that reads nothing is sent no more than the bound", async () => {
    const topic = await createTopic(1);
    const big = "x".repeat(100_000);
    for (let i = 0; i < 60; i++) await produce(topic.name, [{ value: big }]);
    const reader = await EventReader.open(topic.name, "?from=earliest");
    // 6 MB lie in the log. All of it comes, in order, once it is read.
    const offsets: unknown[] = [];
    while (offsets.length < 60) offsets.push((await reader.next())?.data?.offset);
    expect(offsets).toEqual(Array.from({ length: 60 }, (_, i) => i));
  });
});

describe("without a group over a WebSocket", () => {
  function next(socket: TestSocket<PlainServerMessage>, type: PlainServerMessage["type"]) {
    return socket.next(
      (message): message is PlainServerMessage =>
        typeof message === "object" && "type" in message && message.type === type,
    );
  }

  async function records(socket: TestSocket<PlainServerMessage>) {
    const message = await next(socket, "records");
    return message.type === "records" ? message.records : [];
  }

  function tail(topic: TopicJson, query: string): Promise<TestSocket<PlainServerMessage>> {
    return TestSocket.open<PlainServerMessage>(`/v1/topics/${topic.name}/stream${query}`);
  }

  test("[STR-5] it says where it begins, delivers, and commits nothing", async () => {
    const topic = await createTopic(1);
    await produce(topic.name, values(2, 0));
    const socket = await tail(topic, "?from=earliest");
    expect(await next(socket, "assigned")).toEqual({
      type: "assigned",
      partitions: [{ topic: topic.name, partition: 0, offset: 0 }],
    });
    expect((await records(socket)).map(({ value }) => value)).toEqual(["0/0", "0/1"]);
    await produce(topic.name, [{ value: "new" }]);
    expect((await records(socket)).map(({ value }) => value)).toEqual(["new"]);
  });

  test("[STR-5] a topic that is deleted ends it with the reason", async () => {
    const topic = await createTopic(1);
    const socket = await tail(topic, "?from=earliest");
    await next(socket, "assigned");
    await expectStatus(204, "DELETE", `/v1/topics/${topic.name}`);
    expect(await next(socket, "error")).toMatchObject({ code: "UNKNOWN_TOPIC_ID" });
    expect(await socket.closed).toMatchObject({
      code: 4000,
      reason: expect.stringMatching(/^UNKNOWN_TOPIC_ID/),
    });
  });

  test("[STR-5] with ack=explicit no more than the window is sent; a seek goes back", async () => {
    const topic = await createTopic(1);
    await produce(topic.name, values(5, 0));
    const socket = await tail(topic, "?partition=0&from=0&ack=explicit&window=2");
    expect((await records(socket)).map(({ offset }) => offset)).toEqual([0, 1]);
    socket.send({ type: "ack", topic: topic.name, partition: 0, offset: 1 });
    expect((await records(socket)).map(({ offset }) => offset)).toEqual([2, 3]);
    socket.send({ type: "seek", topic: topic.name, partition: 0, offset: 1 });
    expect((await records(socket)).map(({ offset }) => offset)).toEqual([1, 2]);
  });

  test.each(TWINS)(
    "[PLN-7] a group's filter commits past the records it omits$when",
    async ({ interrupt }) => {
      const topic = await createTopic(1);
      const keys = ["b", "a", "b", "a", "b", "b"];
      await produce(
        topic.name,
        keys.map((key, i) => ({ key, value: `${i}`, partition: 0 })),
      );
      const group = unique("filtered");
      const socket = await TestSocket.open<PlainServerMessage>(
        `/v1/groups/${group}/consume?topics=${topic.name}&key=a&commitIntervalMs=1000`,
      );
      const got = await records(socket);
      expect(got.map(({ offset }) => offset)).toEqual([1, 3]);
      await interrupt(partitionStub(env, topic.topicId, 0));
      // The later ones are committed by a timer, which has its turn between these calls.
      const committed = (offset: number, what: string) =>
        eventually(
          async () => (await committedOffsets(group, topic.name))[0] === offset,
          `${what} to be committed`,
        );
      await committed(1, "what comes before the first");
      socket.send({ type: "ack", topic: topic.name, partition: 0, offset: 1 });
      await committed(3, "the first");
      socket.send({ type: "ack", topic: topic.name, partition: 0, offset: 3 });
      await committed(6, "everything");
    },
  );
});

describe("bad streams", () => {
  test.each([
    [
      "?from=nowhere",
      400,
      /^from: must be earliest, latest, an offset, or the id of an event; got "nowhere"/,
    ],
    ["?from=5", 400, /^from: is the offset 5, so partition must be given/],
    ["?partition=x", 400, /^partition: /],
    ["?partition=7", 404, /partition is 7, topic .* has 1/],
    ["?key=a&key=b", 400, /^key: appears more than once/],
    ["?header.h=a&header.h=b", 400, /^header.h: appears more than once/],
    [`?key=${"x".repeat(1_001)}`, 400, /^key: must have at most 1000 characters/],
    [
      `?${Array.from({ length: 11 }, (_, i) => `header.h${i}=v`).join("&")}`,
      400,
      /^header: names more than 10 headers/,
    ],
    ["?form=earliest", 400, /unknown field "form"/],
  ])("[ERR-1] %s is rejected", async (query, status, detail) => {
    const topic = await createTopic(1);
    const answer = await call<{ detail: string }>("GET", `/v1/topics/${topic.name}/stream${query}`);
    expect(answer.status).toBe(status);
    expect(answer.body.detail).toMatch(detail);
  });
});
