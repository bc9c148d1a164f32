// The SDK's credentials: over HTTP and on sockets.
import { expect, test, vi } from "vitest";
import { Rivulet } from "../../../src/sdk/index.ts";
import type { Token } from "../../../src/sdk/token.ts";
import { tokenTransport } from "../../../src/sdk/token.ts";

const TOPIC = { name: "t", topicId: "id", partitions: 1, config: {}, overrides: {} };

/** A broker of which only the interfaces are visible. */
function watched(token: Token | undefined) {
  const headers: (string | undefined)[] = [];
  const urls: string[] = [];
  const offered: (string[] | undefined)[] = [];
  class WebSocket extends EventTarget {
    binaryType = "blob";
    constructor(url: string, protocols?: string[]) {
      super();
      urls.push(url);
      offered.push(protocols);
    }
    send() {}
    close() {
      this.dispatchEvent(Object.assign(new Event("close"), { code: 1000, reason: "" }));
    }
  }
  const rivulet = new Rivulet({
    url: "http://broker",
    ...(token === undefined ? {} : { token }),
    fetch: async (_url, init) => {
      headers.push(init.headers.authorization);
      return { status: 200, ok: true, text: async () => JSON.stringify(TOPIC) };
    },
    WebSocket: WebSocket as never,
  });
  return { rivulet, headers, urls, offered };
}

test.each([
  [undefined, undefined, undefined],
  ["a.b-c_d", "Bearer a.b-c_d", ["rivulet.v1", "rivulet.token.a.b-c_d"]],
  ["rvk_a_b", "Bearer rvk_a_b", ["rivulet.v1", "rivulet.token.rvk_a_b"]],
])(
  "[CLI-8] [SDK-40] the token %o is a header, and a subprotocol of a socket, never in its URL",
  async (token, header, protocols) => {
    const { rivulet, headers, urls, offered } = watched(token);
    await rivulet.admin.listTopics();
    const reader = await rivulet.reader({ topic: "t" });
    const done = reader.run({ eachRecord: () => {} });
    expect(headers).toEqual([header, header]);
    await vi.waitFor(() => expect(urls).toHaveLength(1));
    expect(offered).toEqual([protocols]);
    expect(urls).toEqual(["ws://broker/v1/topics/t/partitions/0/socket?topicId=id"]);
    await reader.close();
    await done;
  },
);

test.each([
  [401, "HTTP 401: no access"],
  [403, "HTTP 403: no access"],
  [404, "HTTP 404: not a Rivulet broker"],
])(
  "[CLI-11] a %i from a proxy in front of the broker is reported as such",
  async (status, message) => {
    const fetch = async () => ({ status, ok: false, text: async () => "<h1>Sorry</h1>" });
    const rivulet = new Rivulet({ url: "http://broker", fetch });
    await expect(rivulet.admin.listTopics()).rejects.toMatchObject({
      name: "ConnectionError",
      message,
    });
  },
);

test.each([".", ".."])("[ADM-3] the name %s, which no URL can hold, is rejected", async (name) => {
  const { rivulet, headers } = watched(undefined);
  const { admin } = rivulet;
  const asked: (readonly [string, Promise<unknown>])[] = [
    ["INVALID_TOPIC_EXCEPTION", admin.describeTopic(name)],
    ["INVALID_TOPIC_EXCEPTION", admin.alterTopic(name, {})],
    ["INVALID_TOPIC_EXCEPTION", admin.deleteTopic(name)],
    ["INVALID_TOPIC_EXCEPTION", admin.listOffset(name, 0, "latest")],
    ["INVALID_TOPIC_EXCEPTION", admin.deleteRecords(name, 0, 0)],
    ["INVALID_GROUP_ID", admin.describeGroup(name)],
    ["INVALID_GROUP_ID", admin.groupConfig(name)],
    ["INVALID_GROUP_ID", admin.alterGroup(name, { config: {} })],
    ["INVALID_GROUP_ID", admin.groupHistory(name)],
    ["INVALID_GROUP_ID", admin.resetGroup(name, { to: "latest" })],
    ["INVALID_GROUP_ID", admin.deleteGroupOffsets(name, ["t"])],
    ["INVALID_GROUP_ID", admin.deleteGroup(name)],
  ];
  for (const [code, call] of asked) await expect(call).rejects.toMatchObject({ code });
  expect(headers, "nothing was asked").toEqual([]);
});

test("[CLI-8] a function is called for each request and each socket", async () => {
  let asked = 0;
  const { rivulet, headers, urls, offered } = watched(async () => `t${++asked}`);
  await rivulet.admin.listTopics();
  const reader = await rivulet.reader({ topic: "t" });
  const done = reader.run({ eachRecord: () => {} });
  await vi.waitFor(() => expect(urls).toHaveLength(1));
  expect(headers).toEqual(["Bearer t1", "Bearer t2"]);
  expect(offered).toEqual([["rivulet.v1", "rivulet.token.t3"]]);
  await reader.close();
  await done;
});

test("[STR-7] a reader reads added partitions, and asks no more once it is closed", async () => {
  vi.useFakeTimers();
  try {
    let partitions = 1;
    let asked = 0;
    const urls: string[] = [];
    const attached: unknown[] = [];
    class WebSocket extends EventTarget {
      binaryType = "blob";
      constructor(url: string) {
        super();
        urls.push(new URL(url).pathname);
        void Promise.resolve().then(() => this.dispatchEvent(new Event("open")));
      }
      send(text: string) {
        if (text === "ping") return;
        const { type, attachId, offset } = JSON.parse(text);
        if (type !== "attach") return;
        attached.push(offset);
        const bounds = { logStartOffset: 0, highWatermark: 0, windowBytes: 1 };
        const data = JSON.stringify({ type: "attached", attachId, offset: 0, ...bounds });
        void Promise.resolve().then(() =>
          this.dispatchEvent(Object.assign(new Event("message"), { data })),
        );
      }
      close() {
        this.dispatchEvent(Object.assign(new Event("close"), { code: 1000, reason: "" }));
      }
    }
    const rivulet = new Rivulet({
      url: "http://broker",
      fetch: async () => {
        asked++;
        return {
          status: 200,
          ok: true,
          text: async () => JSON.stringify({ ...TOPIC, partitions }),
        };
      },
      WebSocket: WebSocket as never,
    });
    const assigned: number[] = [];
    const reader = await rivulet.reader({
      topic: "t",
      from: "latest",
      onAssigned: (places) => void assigned.push(...places.map(({ partition }) => partition)),
    });
    const done = reader.run({ eachRecord: () => {} });
    await vi.advanceTimersByTimeAsync(20_000);
    partitions = 3;
    await vi.advanceTimersByTimeAsync(15_000);
    expect(urls).toEqual([0, 1, 2].map((n) => `/v1/topics/t/partitions/${n}/socket`));
    expect(attached).toEqual(["latest", 0, 0]);
    expect(assigned).toEqual([0, 1, 2]);
    await reader.close();
    await done;
    await vi.advanceTimersByTimeAsync(15_000);
    const before = asked;
    await vi.advanceTimersByTimeAsync(60_000);
    expect(asked).toBe(before);
  } finally {
    vi.useRealTimers();
  }
});

test("[CLI-8] a function that fails, or does not return, counts as an unreachable broker", async () => {
  const failing = watched(() => Promise.reject(new Error("no key"))).rivulet.admin;
  await expect(failing.listTopics()).rejects.toThrow("no answer from http://broker: no key");
  const silent = watched(() => new Promise(() => {})).rivulet.admin;
  const controller = new AbortController();
  const asked = silent.with({ signal: controller.signal }).listTopics();
  controller.abort(new Error("enough"));
  await expect(asked).rejects.toThrow("enough");
});

test("[CLI-8] a socket that waits for its token is closed once, and never opened after that", async () => {
  const token = Promise.withResolvers<string>();
  const opened: string[] = [];
  const closed: (readonly [number, string])[] = [];
  const events = {
    opened: () => {},
    text: () => {},
    bytes: () => {},
    closed: (code: number, reason: string) => void closed.push([code, reason]),
  };
  const transport = tokenTransport(
    () => token.promise,
    (value) => {
      const socket = () => {
        opened.push(value);
        return { send: () => {}, close: () => {} };
      };
      return { openGroup: socket, openPartition: socket };
    },
  );
  const closing = transport.openGroup("g", events);
  closing.close(1000, "left");
  closing.close(1000, "left");
  expect(closed, "as a socket does, later").toEqual([]);
  await vi.waitFor(() => expect(closed).toEqual([[1000, "left"]]));
  transport.openGroup("h", events);
  token.resolve("t");
  await vi.waitFor(() => expect(opened).toEqual(["t"]));
  expect(closed).toEqual([[1000, "left"]]);

  const failing = tokenTransport(
    () => Promise.reject(new Error("no key")),
    () => {
      throw new Error("not reached");
    },
  );
  failing.openGroup("g", events);
  await vi.waitFor(() => expect(closed.at(-1)).toEqual([1006, "Error: no key"]));
});

test("[CLI-8] a socket that has its token is the transport's own: data goes over it, and its close is its own", async () => {
  const said: unknown[] = [];
  const closed: unknown[] = [];
  const socket = () => ({
    send: (data: unknown) => void said.push(data),
    close: (code: number, reason: string) => void said.push([code, reason]),
  });
  const transport = tokenTransport(
    async () => "t",
    () => ({ openGroup: socket, openPartition: socket }),
  );
  const events = {
    opened: () => {},
    text: () => {},
    bytes: () => {},
    closed: (code: number) => void closed.push(code),
  };
  const place = { topic: "t", topicId: "id", partition: 0 };
  for (const open of [
    () => transport.openGroup("g", events),
    () => transport.openPartition(place, events),
  ]) {
    const opened = open();
    opened.send("too early");
    await vi.waitFor(() => {
      opened.send("here");
      expect(said).toContain("here");
    });
    opened.close(4000, "done");
    await vi.waitFor(() => expect(said.at(-1)).toEqual([4000, "done"]));
    expect(said).not.toContain("too early");
    said.length = 0;
  }
  await Promise.resolve();
  expect(closed).toEqual([]);
});
