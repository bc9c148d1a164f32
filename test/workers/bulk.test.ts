// NDJSON of any length, in and out, and other expectations of HTTP clients: compression, CORS, methods.
import { env as bindings, exports } from "cloudflare:workers";
import { afterEach, describe, expect, test, vi } from "vitest";
import { PartitionObject } from "../../durable-objects/partition/partition-object.ts";
import { app } from "../../src/worker/http/app.ts";
import { createTopic, fetchRecords, produce, type TopicJson } from "./support.ts";

afterEach(() => void vi.restoreAllMocks());

const NDJSON = "application/x-ndjson";

interface ProgressJson {
  readonly lines: number;
  readonly stored: number;
  readonly refused: number;
  readonly errors: readonly { line: number; code: string; detail: string }[];
  readonly done?: boolean;
  readonly error?: { readonly code: string; readonly detail: string };
}

function fetchPath(path: string, init: RequestInit = {}): Promise<Response> {
  return exports.default.fetch(`https://localhost${path}`, init);
}

async function linesOf<T>(response: Response): Promise<T[]> {
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toBe(NDJSON);
  const text = await response.text();
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as T);
}

async function send(topic: TopicJson, body: string | ReadableStream): Promise<ProgressJson[]> {
  const response = await fetchPath(`/v1/topics/${topic.name}/records`, {
    method: "POST",
    headers: { "content-type": NDJSON, accept: NDJSON },
    body,
  });
  return linesOf<ProgressJson>(response);
}

async function read(topic: TopicJson, query = ""): Promise<{ offset: number; value: string }[]> {
  const path = `/v1/topics/${topic.name}/partitions/0/records${query}`;
  return linesOf(await fetchPath(path, { headers: { accept: NDJSON } }));
}

function lines(count: number, from = 0): string {
  return Array.from(
    { length: count },
    (_, i) => `${JSON.stringify({ value: `v${from + i}` })}\n`,
  ).join("");
}

describe("produce", () => {
  test("[BLK-1] more than one request may hold is stored in order, with progress", async () => {
    const topic = await createTopic(1);
    const count = 12_000;
    const progress = await send(topic, lines(count));
    expect(progress.map(({ stored }) => stored)).toEqual([5_000, 10_000, 12_000, 12_000]);
    expect(progress.at(-1)).toEqual({
      lines: count,
      stored: count,
      refused: 0,
      errors: [],
      done: true,
    });
    const values = (await read(topic)).map(({ value }) => value);
    expect(values).toEqual(Array.from({ length: count }, (_, i) => `v${i}`));
  });

  test("[BLK-1] it is stored while it still comes in", async () => {
    const topic = await createTopic(1);
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
    const writer = writable.getWriter();
    const answer = send(topic, readable);
    // Lines are cut anywhere, also within a character.
    const bytes = new TextEncoder().encode(`${lines(5_001)}${JSON.stringify({ value: "…é" })}`);
    const cut = bytes.length - 3;
    await writer.write(bytes.subarray(0, cut));
    await vi.waitFor(async () =>
      expect((await fetchRecords(topic.name, 0, "?maxRecords=1")).highWatermark).toBe(5_000),
    );
    await writer.write(bytes.subarray(cut));
    await writer.close();
    expect((await answer).at(-1)).toMatchObject({ stored: 5_002, done: true });
    expect((await read(topic, "?offset=5001")).map(({ value }) => value)).toEqual(["…é"]);
  });

  test.each([
    ["{}", /^line 3: value: is required/],
    ["{", /^line 3 is not JSON/],
    ['{"value":1,"partition":-1}', /^line 3: partition: must be a whole number/],
    ['{"value":1,"partition":7}', /^line 3: partition is 7/],
    [Uint8Array.of(0x22, 0xff, 0x22), /^line 3 is not valid UTF-8/],
    [`{"value":"${"x".repeat(5 * 1024 * 1024)}"}`, /^line 3 has more than 4194304 bytes/],
  ])("[BLK-1] an invalid line ends it, with earlier lines stored: %.20s", async (line, detail) => {
    const topic = await createTopic(1);
    const [before, after] = [`${lines(1)}\n`, `\n${lines(1)}`];
    const progress = await send(topic, new Blob([before, line, after]).stream());
    expect(progress.at(-1)).toMatchObject({
      done: false,
      error: { detail: expect.stringMatching(detail) },
    });
    const stored = progress.at(-1)?.stored ?? 0;
    expect((await fetchRecords(topic.name, 0)).highWatermark).toBe(stored);
    expect(stored).toBe(1);
  });

  test("[BLK-1] a chunk that a partition refuses is reported, and the next continues", async () => {
    const topic = await createTopic(1);
    const original = PartitionObject.prototype.append;
    let calls = 0;
    vi.spyOn(PartitionObject.prototype, "append").mockImplementation(function (
      this: PartitionObject,
      ...parameters
    ) {
      if (calls++ > 0) return original.apply(this, parameters);
      return Promise.resolve({ ok: false, error: "INVALID_RECORD", detail: "for the test" });
    });
    const last = (await send(topic, lines(5_010))).at(-1);
    expect(last).toMatchObject({ lines: 5_010, stored: 10, refused: 5_000, done: true });
    expect(last?.errors).toHaveLength(100);
    expect(last?.errors[99]).toEqual({ line: 100, code: "INVALID_RECORD", detail: "for the test" });
  });

  /** Sends lines without requesting lines. */
  const post = (topic: { name: string }, body: BodyInit, headers = {}, query = "") =>
    fetchPath(`/v1/topics/${topic.name}/records${query}`, {
      method: "POST",
      headers: { "content-type": NDJSON, ...headers },
      body,
    });
  const big = `${JSON.stringify({ value: "x".repeat(1_000_000) })}\n`;

  test("[BLK-3] more records are stored without requesting lines, and answered in lines", async () => {
    const topic = await createTopic(1);
    const count = 100_001;
    const progress = await linesOf<ProgressJson>(await post(topic, lines(count)));
    expect(progress.at(-1)).toMatchObject({ stored: count, refused: 0, done: true });
    const { highWatermark } = await fetchRecords(topic.name, 0, `?offset=${count - 1}`);
    expect(highWatermark).toBe(count);
  });

  test("[BLK-3] a body within one request's bounds is answered as JSON, and stored whole or not at all", async () => {
    const topic = await createTopic(1);
    const answer = await post(topic, `${big.repeat(15)}\n\n`, { accept: "*/*" });
    expect(answer.status).toBe(200);
    const { results } = (await answer.json()) as { results: { offset: number }[] };
    expect(results.map(({ offset }) => offset)).toEqual(Array.from({ length: 15 }, (_, i) => i));
    const refused = await post(topic, `${lines(6_000)}{\n`);
    expect(refused.status).toBe(400);
    expect(await refused.json()).toMatchObject({
      detail: expect.stringMatching(/^line 6001 is not JSON/),
    });
    expect((await fetchRecords(topic.name, 0, "?offset=14")).highWatermark).toBe(15);
  });

  test("[BLK-3] more bytes are, too, and a wrong line beyond the bound leaves earlier ones stored", async () => {
    const topic = await createTopic(1);
    const response = await post(topic, `${big.repeat(17)}{}`, { accept: "application/json" });
    const progress = await linesOf<ProgressJson>(response);
    expect(progress.at(-1)).toMatchObject({
      stored: 17,
      done: false,
      error: { detail: expect.stringMatching(/^line 18: value: is required/) },
    });
  });

  test("[BLK-3] [BLK-1] the bounds are bytes, whatever characters they make", async () => {
    const topic = await createTopic(1);
    /** 500,000 characters, 1,000,000 bytes. */
    const wide = `${JSON.stringify({ value: "é".repeat(499_994) })}\n`;
    const progress = await linesOf<ProgressJson>(await post(topic, wide.repeat(17)));
    expect(progress.at(-1)).toMatchObject({ stored: 17, refused: 0, done: true });
    // A megabyte at a time is stored.
    expect(progress.map(({ stored }) => stored).slice(0, 3)).toEqual([1, 2, 3]);
  });

  test.each([
    {
      what: "an Idempotency-Key",
      headers: { "idempotency-key": "k" },
      query: "",
      body: lines(100_001),
      status: 400,
      detail: /more than 100000 records, the bound with an/,
    },
    {
      what: "expectedOffset",
      headers: {},
      query: "?expectedOffset=0",
      body: big.repeat(17),
      status: 413,
      detail: /more than 16777216 bytes, the bound with an/,
    },
  ])("[BLK-3] beyond the bound $what is refused, and nothing is stored", async (each) => {
    const topic = await createTopic(1);
    const response = await post(topic, each.body, each.headers, each.query);
    expect(response.status).toBe(each.status);
    expect(await response.json()).toMatchObject({ detail: expect.stringMatching(each.detail) });
    expect((await fetchRecords(topic.name, 0)).highWatermark).toBe(0);
  });

  test("[BLK-3] beyond the bound an unknown topic is a 404", async () => {
    const response = await post({ name: "nobody" }, big.repeat(17));
    expect(response.status).toBe(404);
    expect(await response.json()).toMatchObject({ code: "UNKNOWN_TOPIC_OR_PARTITION" });
  });

  test("[ERR-1] an unknown topic and an idempotency key are rejected before anything is read", async () => {
    const headers = { "content-type": NDJSON, accept: NDJSON };
    const init = { method: "POST", headers, body: lines(1) };
    expect((await fetchPath("/v1/topics/nobody/records", init)).status).toBe(404);
    const topic = await createTopic(1);
    const keyed = { ...init, headers: { ...headers, "idempotency-key": "k" } };
    expect((await fetchPath(`/v1/topics/${topic.name}/records`, keyed)).status).toBe(400);
  });
});

describe("read", () => {
  test("[BLK-2] all there is, from an offset, and no more than requested", async () => {
    const topic = await createTopic(1);
    await send(topic, lines(6_000));
    const offsets = (await read(topic, "?offset=10")).map(({ offset }) => offset);
    expect(offsets).toEqual(Array.from({ length: 5_990 }, (_, i) => 10 + i));
    expect((await read(topic, "?maxRecords=5500")).at(-1)?.offset).toBe(5_499);
    expect(await read(topic, "?offset=6000")).toEqual([]);
  });

  test("[BLK-2] a log without records is a response without lines; an offset outside is reported in one", async () => {
    const topic = await createTopic(1);
    expect(await read(topic)).toEqual([]);
    await produce(topic.name, [{ value: "a" }]);
    expect(await read(topic, "?offset=0")).toHaveLength(1);
    const path = `/v1/topics/${topic.name}/partitions/0/records?before=1`;
    await fetchPath(path, { method: "DELETE" });
    await produce(topic.name, [{ value: "b" }]);
    expect(await read(topic, "?offset=0")).toMatchObject([
      { error: { code: "OFFSET_OUT_OF_RANGE" } },
    ]);
  });
});

describe("what HTTP clients expect", () => {
  async function gzip(text: string): Promise<ArrayBuffer> {
    const stream = new Blob([text]).stream().pipeThrough(new CompressionStream("gzip"));
    return new Response(stream).arrayBuffer();
  }

  test("[WEB-1] a body may come in gzip; an invalid one is rejected, as is any other encoding", async () => {
    const topic = await createTopic(1);
    const path = `/v1/topics/${topic.name}/records`;
    const post = (encoding: string, body: ArrayBuffer | string) =>
      fetchPath(path, { method: "POST", headers: { "content-encoding": encoding }, body });
    const body = JSON.stringify({ records: [{ value: "packed" }] });
    expect((await post("gzip", await gzip(body))).status).toBe(200);
    expect((await read(topic)).map(({ value }) => value)).toEqual(["packed"]);
    for (const [encoding, text] of [
      ["gzip", "plain text"],
      ["br", body],
    ] as const) {
      const refused = await post(encoding, text);
      expect(refused.status).toBe(400);
      expect(((await refused.json()) as { detail: string }).detail).toMatch(encoding);
    }
    const bomb = await post("gzip", await gzip(" ".repeat(17 * 1024 * 1024)));
    expect(bomb.status).toBe(413);
  });

  test("[WEB-1] JSON is compressed if the client accepts it, a stream never", async () => {
    const topic = await createTopic(1);
    await produce(topic.name, [{ value: "x".repeat(10_000) }]);
    const path = `/v1/topics/${topic.name}/partitions/0/records`;
    const headers = { "accept-encoding": "gzip" };
    const packed = await fetchPath(path, { headers });
    expect(packed.headers.get("content-encoding")).toBe("gzip");
    const declined = await fetchPath(path, { headers: { "accept-encoding": "gzip;q=0" } });
    expect(declined.headers.get("content-encoding")).toBeNull();
    expect((await fetchPath(path)).headers.get("content-encoding")).toBeNull();
    const stream = await fetchPath(`/v1/topics/${topic.name}/stream`, { headers });
    expect(stream.headers.get("content-encoding")).toBeNull();
    await stream.body?.cancel();
  });

  test("[WEB-2] pages of any origin may call, preflight and errors included", async () => {
    // An open broker serves only pages of its own machine, so this one has a root key.
    const { RIVULET_OPEN: _, ...closed } = bindings;
    const env = { ...closed, RIVULET_ROOT_KEY: "root-key-of-this-test-that-is-long-enough" };
    const context = { waitUntil: () => {}, passThroughOnException: () => {}, props: {} };
    const fetchClosed = async (path: string, init: RequestInit) =>
      app.fetch(new Request(`https://localhost${path}`, init), env, context as never);
    const origin = { origin: "https://example.com" };
    const root = { ...origin, authorization: `Bearer ${env.RIVULET_ROOT_KEY}` };
    for (const path of ["/v1/topics", "/v1/topics/nobody", "/nowhere"])
      for (const headers of [origin, root])
        expect(
          (await fetchClosed(path, { headers })).headers.get("access-control-allow-origin"),
        ).toBe("*");
    expect((await fetchClosed("/v1/topics", { headers: root })).status).toBe(200);
    expect((await fetchClosed("/v1/topics", { headers: origin })).status).toBe(401);
    const preflight = await fetchClosed("/v1/topics/t/records", {
      method: "OPTIONS",
      headers: {
        ...origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type,idempotency-key",
      },
    });
    expect(preflight.status).toBe(204);
    expect(preflight.headers.get("access-control-allow-methods")).toContain("POST");
    expect(preflight.headers.get("access-control-allow-headers")).toContain("idempotency-key");
    const toOpen = await fetchPath("/v1/topics", { headers: origin });
    expect(toOpen.status).toBe(403);
    expect(await toOpen.json()).toMatchObject({ code: "CLUSTER_AUTHORIZATION_FAILED" });
  });

  test.each([
    ["PUT", "/v1/topics", 405, "GET, POST"],
    ["POST", "/v1/topics/t", 405, "DELETE, GET, PATCH"],
    ["PUT", "/v1/groups/g/poll", 405, "POST"],
    ["GET", "/v1/topics/t/records", 405, "POST"],
    ["POST", "/v1/groups", 405, "GET"],
    ["GET", "/v1/nothing", 404, null],
    ["GET", "/v1/topics//records", 404, null],
  ])("[WEB-3] %s %s is %i", async (method, path, status, allow) => {
    const response = await fetchPath(path, { method });
    expect(response.status).toBe(status);
    expect(response.headers.get("allow")).toBe(allow);
    expect(await response.json()).toMatchObject({ code: "INVALID_REQUEST", status });
  });
});
