// The requests of the forms on the page of the HTTP API.
import { execFile } from "node:child_process";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { curlOf, MAX_SHOWN_BYTES, pathOf, send } from "../../../src/docs/try/send.ts";

describe("the path", () => {
  test("[DOC-8] has the parameters in it, whatever is in them", () => {
    const inPath = { topic: "a/b ü", partition: "0" };
    const inQuery = { offset: "7", maxBytes: "", at: "max timestamp&x" };
    expect(pathOf("/v1/topics/{topic}/partitions/{partition}/records", inPath, inQuery)).toBe(
      "/v1/topics/a%2Fb%20%C3%BC/partitions/0/records?offset=7&at=max+timestamp%26x",
    );
    expect(pathOf("/health", {}, {})).toBe("/health");
  });
});

const run = promisify(execFile);

interface Got {
  readonly method: string | undefined;
  readonly url: string | undefined;
  readonly authorization: string | undefined;
  readonly type: string | undefined;
  readonly body: string;
}

describe("a request", () => {
  const got: Got[] = [];
  let server: Server;
  let origin = "";
  let answer = { type: "application/json", body: Buffer.from('{"a":9007199254740993}') };
  beforeAll(async () => {
    server = createServer(async (request, response) => {
      const chunks = await Array.fromAsync(request as AsyncIterable<Buffer>);
      const { method, url, headers } = request;
      const { authorization, "content-type": type } = headers;
      got.push({ method, url, authorization, type, body: Buffer.concat(chunks).toString() });
      response.writeHead(201, { "content-type": answer.type });
      response.end(answer.body);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(() => void server.close());

  const request = (body: string | null) => ({
    ...{ method: body === null ? "GET" : "POST", path: `${origin}/v1/topics?x=1` },
    ...{ body, contentType: "application/json" },
  });

  test("[DOC-8] is sent as it was put together, and the answer comes as it is", async () => {
    const answered = await send(request('{"name":"it\'s"}'), "rvk_1", AbortSignal.timeout(10_000));
    expect(got.pop()).toEqual({
      ...{ method: "POST", url: "/v1/topics?x=1", authorization: "Bearer rvk_1" },
      ...{ type: "application/json", body: '{"name":"it\'s"}' },
    });
    expect(answered).toMatchObject({
      ...{ status: 201, text: '{"a":9007199254740993}', bytes: 22, isCut: false },
    });
    expect(answered.headers).toContainEqual(["content-type", "application/json"]);
    await send(request(null), "", AbortSignal.timeout(10_000));
    expect(got.pop()).toMatchObject({ method: "GET", authorization: undefined, body: "" });
  });

  test("[DOC-8] of a long answer the beginning is read", async () => {
    answer = { type: "text/plain", body: Buffer.alloc(3 * MAX_SHOWN_BYTES, "a") };
    const long = await send(request(null), "", AbortSignal.timeout(10_000));
    expect([long.text?.length, long.isCut]).toEqual([MAX_SHOWN_BYTES, true]);
    answer = { type: "text/plain", body: Buffer.alloc(MAX_SHOWN_BYTES, "a") };
    const whole = await send(request(null), "", AbortSignal.timeout(10_000));
    expect([whole.text?.length, whole.isCut]).toEqual([MAX_SHOWN_BYTES, false]);
  });

  test("[DOC-8] bytes are counted, and not shown as text", async () => {
    answer = { type: "application/octet-stream", body: Buffer.from([0, 255]) };
    expect(await send(request(null), "", AbortSignal.timeout(10_000))).toMatchObject({
      ...{ text: null, bytes: 2 },
    });
  });

  test("[DOC-8] the command sends the same", async () => {
    got.length = 0;
    answer = { type: "text/plain", body: Buffer.from("ok") };
    const written = '{\n  "name": "it\'s $HOME `x`",\n  "a": 9007199254740993\n}';
    const tried = { ...request(written), path: "/v1/topics?x=1" };
    const env = { ...process.env, RIVULET_TOKEN: "rvk_2" };
    const { stdout } = await run("sh", ["-c", curlOf(origin, tried, true)], { env });
    expect(stdout).toBe("ok");
    expect(got).toEqual([
      {
        ...{ method: "POST", url: "/v1/topics?x=1", authorization: "Bearer rvk_2" },
        ...{ type: "application/json", body: '{"name":"it\'s $HOME `x`","a":9007199254740993}' },
      },
    ]);
  });

  test.each(["@/etc/hostname", "@", "a\n@b\n"])(
    "[DOC-8] the command sends a body as it is, and reads no file: %j",
    async (body) => {
      got.length = 0;
      const tried = { ...request(body), path: "/v1/topics" };
      await run("sh", ["-c", curlOf(origin, tried, false)]);
      expect(got.map((each) => each.body)).toEqual([body]);
    },
  );

  test("[DOC-8] the command names no credential where none is given", () => {
    expect(curlOf(origin, { ...request(null), path: "/health" }, false)).toBe(
      `curl '${origin}/health'`,
    );
  });
});
