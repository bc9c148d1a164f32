// Access over real sockets: a closed broker, and callers with all kinds of credentials.
import { generateKeyPairSync, sign } from "node:crypto";
import { request as httpRequest } from "node:http";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import WebSocket from "ws";
import { encodeBatch } from "../../src/core/log/record-batch.ts";
import { BrokerProcess } from "./broker.ts";
import { type Answer, GRANTS, type Name, REFUSED, ROOT_KEY } from "./closed-broker.ts";

let broker: BrokerProcess;

beforeAll(async () => {
  broker = await BrokerProcess.start({ env: { RIVULET_ROOT_KEY: ROOT_KEY } });
  for (const name of ["orders.x", "orders.z", "other.y", "billing.x"])
    await admin("POST", "/v1/topics", { name, partitions: 1 });
  for (const group of ["billing.x", "billing.d", "other.g"])
    await admin("PATCH", `/v1/groups/${group}`, {
      config: { "consumer.session.timeout.ms": 10_000 },
    });
  for (const [name, grants] of Object.entries(GRANTS)) {
    const { body } = await admin("POST", "/v1/keys", { principal: `User:${name}`, grants });
    keys[name as Name] = body.key as string;
  }
});
afterAll(() => broker.stop());

const NAMES: readonly Name[] = ["R", "W", "G", "P", "C"];
const keys = {} as Record<Name, string>;

async function ask(
  credential: string | null,
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const response = await fetch(`${broker.url}${path}`, {
    method,
    headers: {
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...(credential === null ? {} : { authorization: `Bearer ${credential}` }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    signal: AbortSignal.timeout(20_000),
  });
  if (response.headers.get("content-type")?.startsWith("text/event-stream")) {
    await response.body?.cancel();
    return { status: response.status, body: {} };
  }
  const text = await response.text();
  return { status: response.status, body: text.startsWith("{") ? JSON.parse(text) : {} };
}

const admin = (method: string, path: string, body?: unknown) => ask(ROOT_KEY, method, path, body);

type Expected = number | keyof typeof REFUSED;

function expectAnswer({ status, body }: Answer, expected: Expected, what: string): void {
  if (typeof expected === "number")
    expect(status, `${what}: ${JSON.stringify(body)}`).toBe(expected);
  else expect({ status, code: body.code }, what).toEqual({ status: 403, code: REFUSED[expected] });
}

const T = "/v1/topics/orders.x";
const PART = `${T}/partitions/0`;
const GROUP = "/v1/groups/billing.x";

/** The access matrix: a request, and the response to each caller. Everybody else gets 401. */
const MATRIX: readonly [
  method: string,
  path: string,
  body: unknown,
  answers: readonly [R: Expected, W: Expected, G: Expected, P: Expected, C: Expected],
][] = [
  ["GET", "/v1/configs", undefined, ["C", "C", "C", "C", "C"]],
  ["PATCH", "/v1/configs", { config: {} }, ["C", "C", "C", "C", "C"]],
  ["GET", "/v1/keys", undefined, ["C", "C", "C", "C", "C"]],
  ["POST", "/v1/keys", { principal: "x", role: "read" }, ["C", "C", "C", "C", "C"]],
  ["PATCH", "/v1/keys/aaaaaaaaaaaaaaaa", { role: "admin" }, ["C", "C", "C", "C", "C"]],
  ["DELETE", "/v1/keys/aaaaaaaaaaaaaaaa", undefined, ["C", "C", "C", "C", "C"]],
  ["GET", "/v1/doctor/topics", undefined, ["C", "C", "C", "C", "C"]],
  ["GET", "/v1/doctor/tasks", undefined, ["C", "C", "C", "C", "C"]],
  ["POST", "/v1/doctor/groups", { groupId: "billing.x" }, ["C", "C", "C", "C", "C"]],
  ["POST", "/v1/doctor/orphans", { topicId: "x", partition: 0 }, ["C", "C", "C", "C", "C"]],
  [
    "POST",
    "/v1/recovery",
    { target: { type: "cluster" }, bookmark: "b" },
    ["C", "C", "C", "C", "C"],
  ],
  ["GET", `${PART}/state`, undefined, [200, 200, "T", "T", 200]],
  ["GET", "/v1/me", undefined, [200, 200, 200, 200, 200]],
  ["GET", "/v1/topics", undefined, [200, 200, 200, 200, 200]],
  ["GET", T, undefined, [200, 200, "T", "T", 200]],
  ["GET", "/v1/topics/orders.missing", undefined, [404, 404, "T", "T", 404]],
  ["GET", "/v1/topics/billing.x", undefined, ["T", "T", "T", "T", "T"]],
  ["GET", "/v1/topics/billing.missing", undefined, ["T", "T", "T", "T", "T"]],
  ["GET", `${PART}/offsets?at=latest`, undefined, [200, 200, "T", "T", 200]],
  ["POST", "/v1/topics", { name: "orders.new" }, ["T", "T", "T", "T", "T"]],
  ["PATCH", T, { partitions: 2 }, ["T", "T", "T", "T", "T"]],
  ["PATCH", T, { config: { "retention.ms": 1_000 } }, ["T", "T", "T", "T", "T"]],
  ["DELETE", T, undefined, ["T", "T", "T", "T", "T"]],
  ["DELETE", `${PART}/records?before=0`, undefined, ["T", "T", "T", "T", "T"]],
  ["POST", `${T}/records`, { records: [{ value: "a" }] }, ["T", 200, "T", "T", "T"]],
  ["POST", `${PART}/batches`, "x", ["T", 400, "T", "T", "T"]],
  ["POST", "/v1/producers", undefined, ["C", 201, "C", 201, "C"]],
  ["GET", `${PART}/records`, undefined, [200, "T", "T", "T", 200]],
  ["GET", `${PART}/batches`, undefined, [200, "T", "T", "T", 200]],
  ["GET", `${T}/stream`, undefined, [200, "T", "T", "T", 200]],
  ["GET", "/v1/groups", undefined, [200, 200, 200, 200, 200]],
  ["GET", GROUP, undefined, ["G", "G", 200, "G", 200]],
  ["GET", `${GROUP}/history`, undefined, ["G", "G", 200, "G", 200]],
  ["GET", `${GROUP}/config`, undefined, ["G", "G", "G", "G", "G"]],
  ["GET", `${GROUP}/offsets`, undefined, ["G", "G", 200, "G", 200]],
  ["PATCH", GROUP, { config: {} }, ["G", "G", "G", "G", "G"]],
  ["POST", `${GROUP}/offsets`, { topics: ["orders.x"], to: "earliest" }, ["G", "G", "T", "G", 200]],
  ["DELETE", GROUP, undefined, ["G", "G", "G", "G", "G"]],
  ["DELETE", `${GROUP}/offsets?topics=orders.x`, undefined, ["G", "G", "G", "G", "G"]],
  [
    "POST",
    "/v1/groups/billing.p/poll",
    { instanceId: "p", topics: ["orders.x"] },
    ["G", "G", "T", "G", 200],
  ],
  [
    "POST",
    "/v1/groups/billing.p/poll",
    { instanceId: "p", topics: ["other.y"] },
    ["G", "G", "T", "G", "T"],
  ],
];

describe("the matrix", () => {
  test.each(MATRIX)("[ACL-5] %s %s %j", async (method, path, body, answers) => {
    for (const [i, name] of NAMES.entries())
      expectAnswer(await ask(keys[name], method, path, body), answers[i] as Expected, name);
    for (const [what, credential] of await badCredentials()) {
      const answer = await ask(credential, method, path, body);
      expect(answer, what).toMatchObject({
        status: 401,
        body: { code: "SASL_AUTHENTICATION_FAILED" },
      });
    }
  });

  test("[ACL-5] an admin may do all of that", async () => {
    for (const [method, path, body] of MATRIX) {
      const makesSomething = path === "/v1/topics" || (path === T && method === "PATCH");
      if (method === "DELETE" || path.startsWith("/v1/keys") || makesSomething) continue;
      const { status } = await ask(ROOT_KEY, method, path, body);
      expect([401, 403], `${method} ${path}`).not.toContain(status);
    }
  });

  test("[ACL-5] an admin may do the rest of it", async () => {
    const [topic, group] = ["/v1/topics/orders.gone", "/v1/groups/billing.gone"];
    const reset = { topics: ["orders.gone"], to: "earliest" };
    expect((await admin("POST", "/v1/topics", { name: "orders.gone" })).status).toBe(201);
    expect((await admin("PATCH", topic, { partitions: 2 })).status).toBe(200);
    const records = `${topic}/partitions/0/records?before=0`;
    expect((await admin("DELETE", records)).status).toBe(200);
    const config = { "consumer.session.timeout.ms": 10_000 };
    expect((await admin("PATCH", group, { config })).status).toBe(200);
    expect((await admin("POST", `${group}/offsets`, reset)).status).toBe(200);
    expect((await admin("DELETE", `${group}/offsets?topics=orders.gone`)).status).toBe(204);
    expect((await admin("DELETE", group)).status).toBe(204);
    expect((await admin("DELETE", topic)).status).toBe(204);
    const made = await admin("POST", "/v1/keys", { principal: "gone", role: "read" });
    const key = `/v1/keys/${made.body.id}`;
    expect((await admin("PATCH", key, { role: "write" })).status).toBe(200);
    expect((await admin("DELETE", key)).status).toBe(204);
  });

  test("[ACL-5] records as lines and as batches are written and read by callers with the rights", async () => {
    const lines = "application/x-ndjson";
    const batch = encodeBatch([{ key: null, value: null, headers: [], timestamp: 1 }] as never);
    const told = async (name: Name | null) => {
      const authorization = `Bearer ${name === null ? ROOT_KEY : keys[name]}`;
      const statusOf = async (path: string, init: RequestInit) => {
        const response = await fetch(`${broker.url}${path}`, init);
        await response.text();
        return response.status;
      };
      return [
        await statusOf(`${T}/records`, {
          method: "POST",
          headers: { authorization, "content-type": lines },
          body: '{"value":"a"}\n',
        }),
        await statusOf(`${PART}/records`, { headers: { authorization, accept: lines } }),
        await statusOf(`${PART}/batches`, {
          method: "POST",
          headers: { authorization },
          body: batch as Uint8Array<ArrayBuffer>,
        }),
      ];
    };
    expect(await Promise.all([...NAMES, null].map(told))).toEqual([
      [403, 200, 403],
      [200, 403, 200],
      [403, 403, 403],
      [403, 403, 403],
      [403, 200, 403],
      [200, 200, 200],
    ]);
  });

  test.each(["/health", "/", "/docs", "/openapi.json"])(
    "[MODE-2] GET %s is answered for any caller",
    async (path) => {
      for (const [what, credential] of await badCredentials())
        expect((await ask(credential, "GET", path)).status, what).toBe(200);
    },
  );

  test("[ACL-6] lists hold what the caller may describe", async () => {
    const namesOf = async (name: Name | null, path: string, field: string, of: string) => {
      const { body } = await ask(name === null ? ROOT_KEY : keys[name], "GET", path);
      return (body[field] as Record<string, string>[]).map((each) => each[of]).sort();
    };
    const topicsOf = (name: Name | null) => namesOf(name, "/v1/topics", "topics", "name");
    const groupsOf = (name: Name | null) => namesOf(name, "/v1/groups", "groups", "groupId");
    expect(await topicsOf("R")).toEqual(["orders.x", "orders.z"]);
    expect(await topicsOf("W")).toEqual(["orders.x", "orders.z"]);
    expect(await topicsOf("G")).toEqual([]);
    expect(await topicsOf("P")).toEqual(["other.y"]);
    expect(await topicsOf(null)).toEqual(
      expect.arrayContaining(["billing.x", "orders.x", "orders.z", "other.y"]),
    );
    expect(await groupsOf("R")).toEqual([]);
    expect(await groupsOf("G")).toEqual(expect.arrayContaining(["billing.d", "billing.x"]));
    expect(await groupsOf("G")).not.toContain("other.g");
    expect(await groupsOf("P")).toEqual(["other.g"]);
  });

  test("[ACL-6] a group is shown without the topics that the caller may not describe", async () => {
    const to = {
      offsets: [
        { topic: "orders.x", partition: 0, offset: 0 },
        { topic: "other.y", partition: 0, offset: 0 },
      ],
    };
    expect((await admin("POST", "/v1/groups/billing.d/offsets", to)).status).toBe(200);
    const seenBy = async (credential: string) => {
      const { body } = await ask(credential, "GET", "/v1/groups/billing.d");
      const { body: history } = await ask(credential, "GET", "/v1/groups/billing.d/history");
      return {
        offsets: (body.offsets as { topic: string }[]).map(({ topic }) => topic),
        history: JSON.stringify(history),
      };
    };
    expect((await seenBy(ROOT_KEY)).offsets).toEqual(["orders.x", "other.y"]);
    const c = await seenBy(keys.C);
    expect(c.offsets).toEqual(["orders.x"]);
    expect(c.history).not.toContain("other.y");
    const g = await seenBy(keys.G);
    expect(g.offsets).toEqual([]);
    expect(g.history).not.toContain("orders.x");
  });
});

/** Invalid credentials. */
async function badCredentials(): Promise<[string, string | null][]> {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const { body } = await admin("POST", "/v1/tokens", { role: "admin" });
  const token = body.token as string;
  const [head = "", payload = ""] = token.split(".");
  const claims = JSON.parse(Buffer.from(payload, "base64url").toString()) as object;
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const forged = (header: object, changed: object) => {
    const text = `${encode(header)}.${encode({ ...claims, ...changed })}`;
    const signature = sign("sha256", Buffer.from(text), {
      key: privateKey,
      dsaEncoding: "ieee-p1363",
    });
    return `${text}.${signature.toString("base64url")}`;
  };
  const header = JSON.parse(Buffer.from(head, "base64url").toString()) as object;
  return [
    ["none", null],
    ["another root key", `${ROOT_KEY}x`],
    ["a mistyped key", `${keys.C.slice(0, -1)}${keys.C.endsWith("A") ? "B" : "A"}`],
    ["another signature", forged(header, {})],
    ["another deployment", forged({ ...header, kid: "other" }, { aud: "other" })],
    ["alg none", `${encode({ alg: "none" })}.${payload}.`],
    ["alg HS256", `${encode({ alg: "HS256" })}.${payload}.${"A".repeat(43)}`],
    ["a changed payload", `${head}.${encode({ ...claims, sub: "other" })}.${token.split(".")[2]}`],
    ["no token", "abc.def.ghi"],
  ];
}

interface Socket {
  readonly messages: Record<string, unknown>[];
  readonly closed: Promise<{ code: number; reason: string }>;
  send(message: object | Uint8Array): void;
  next(): Promise<Record<string, unknown>>;
  close(): void;
}

/** Opens a socket, or returns the status with which it is refused. */
function open(path: string, credential: string | null): Promise<Socket | Answer> {
  const protocols = ["rivulet.v1", ...(credential === null ? [] : [`rivulet.token.${credential}`])];
  const socket = new WebSocket(`${broker.url.replace("http", "ws")}${path}`, protocols);
  const messages: Record<string, unknown>[] = [];
  const waiting: ((message: Record<string, unknown>) => void)[] = [];
  socket.on("message", (data, isBinary) => {
    const message = isBinary ? { type: "bytes" } : (JSON.parse(String(data)) as never);
    messages.push(message);
    waiting.shift()?.(message);
  });
  const closed = new Promise<{ code: number; reason: string }>((resolve) =>
    socket.on("close", (code, reason) => resolve({ code, reason: String(reason) })),
  );
  socket.on("error", () => {});
  let read = 0;
  return new Promise((resolve) => {
    socket.on("unexpected-response", (_, response) => {
      let text = "";
      response.on("data", (data) => {
        text += String(data);
      });
      response.on("end", () =>
        resolve({ status: response.statusCode ?? 0, body: JSON.parse(text) }),
      );
    });
    socket.on("open", () => {
      expect(socket.protocol).toBe("rivulet.v1");
      resolve({
        messages,
        closed,
        send: (message) =>
          socket.send(message instanceof Uint8Array ? message : JSON.stringify(message)),
        next: () => {
          const known = messages[read++];
          return known === undefined
            ? new Promise((found) => waiting.push(found))
            : Promise.resolve(known);
        },
        close: () => socket.close(1000),
      });
    });
  });
}

async function opened(path: string, credential: string): Promise<Socket> {
  const socket = await open(path, credential);
  if ("status" in socket) throw new Error(`${path}: ${JSON.stringify(socket)}`);
  return socket;
}

describe("a socket", () => {
  test.each([
    [`${PART}/socket`, [101, 101, "T", "T", 101]],
    [`${T}/stream`, [101, "T", "T", "T", 101]],
    ["/v1/groups/billing.s/socket", ["G", "G", 101, "G", 101]],
    ["/v1/groups/billing.s/consume?topics=orders.x", ["G", "G", "T", "G", 101]],
  ] as [string, Expected[]][])(
    "[ACL-5] [APK-5] %s opens for callers with the right",
    async (path, answers) => {
      for (const [i, name] of NAMES.entries()) {
        const socket = await open(path, keys[name]);
        if ("status" in socket) expectAnswer(socket, answers[i] as Expected, name);
        else {
          expect(101, name).toBe(answers[i]);
          socket.close();
        }
      }
      for (const [what, credential] of await badCredentials()) {
        const socket = await open(path, credential);
        expect(socket, what).toMatchObject({ status: 401 });
      }
    },
  );

  test("[ACL-7] a topic's id leads only to the topic of the path", async () => {
    const other = (await admin("GET", "/v1/topics/other.y")).body.topicId;
    const path = `${PART}/socket?topicId=${other}`;
    for (const credential of [keys.R, keys.W, keys.C, ROOT_KEY])
      expect(await open(path, credential)).toMatchObject({ status: 404 });
    for (const credential of [keys.G, keys.P])
      expect(await open(path, credential)).toMatchObject({ status: 403 });
  });

  test("[ACL-7] a partition checks each message", async () => {
    const attach = { type: "attach", attachId: 1, offset: 0 };
    const append = new Uint8Array([0]);
    const reader = await opened(`${PART}/socket`, keys.R);
    reader.send(attach);
    expect(await reader.next()).toMatchObject({ type: "attached" });
    reader.send({
      ...attach,
      owner: { group: "billing.x", incarnation: 1, memberEpoch: 1, memberNumber: 1 },
    });
    for (let message = await reader.next(); ; message = await reader.next()) {
      if (message.type === "bytes") continue;
      expect(message).toMatchObject({ type: "error", code: REFUSED.G });
      break;
    }
    reader.close();
    const writer = await opened(`${PART}/socket`, keys.W);
    writer.send(attach);
    expect(await writer.next()).toMatchObject({ type: "error", code: REFUSED.T });
    writer.send(append);
    expect((await writer.closed).reason).not.toContain("AUTHORIZATION");
  });

  test("[ATT-5] [ACL-7] a forged owner locks nobody out", async () => {
    const forger = await opened(`${PART}/socket`, keys.C);
    const owner = {
      group: "billing.x",
      incarnation: Number.MAX_SAFE_INTEGER,
      memberEpoch: 2 ** 31 - 1,
      memberNumber: 2 ** 31 - 1,
    };
    forger.send({ type: "attach", attachId: 1, offset: 0, owner });
    expect(await forger.closed).toMatchObject({ code: 4001 });
    const honest = await opened("/v1/groups/billing.x/consume?topics=orders.x", keys.C);
    for (let message = await honest.next(); message.type !== "records"; )
      message = await honest.next();
    honest.close();
  });

  test("[ACL-7] a member joins for what it may read, and commits nothing else", async () => {
    const memberId = crypto.randomUUID();
    const join = (topics: string[], topicPattern: string | null) => ({
      ...{ type: "join", memberId, memberEpoch: 0, topics, topicPattern },
    });
    const none = await opened("/v1/groups/billing.j1/socket", keys.G);
    none.send(join(["orders.x"], null));
    expect(await none.next()).toMatchObject({ type: "error", code: REFUSED.T });
    none.send(join([], ".*"));
    expect(await none.next()).toMatchObject({ type: "assignment", partitions: [] });
    none.close();
    const some = await opened("/v1/groups/billing.j2/socket", keys.C);
    some.send(join(["other.y"], null));
    expect(await some.next()).toMatchObject({ type: "error", code: REFUSED.T });
    some.send(join([], ".*"));
    const assignment = (await some.next()) as {
      memberEpoch: number;
      partitions: { topic: string; topicId: string; partition: number }[];
    };
    expect(assignment.partitions.map(({ topic }) => topic).sort()).toEqual([
      "orders.x",
      "orders.z",
    ]);
    const other = (await admin("GET", "/v1/topics/other.y")).body.topicId as string;
    const [own] = assignment.partitions;
    some.send({
      type: "commit",
      requestId: 1,
      memberEpoch: assignment.memberEpoch,
      offsets: [
        { topicId: own?.topicId, partition: 0, offset: 1 },
        { topicId: other, partition: 0, offset: 1 },
      ],
    });
    expect(await some.next()).toMatchObject({
      type: "committed",
      rejected: [{ topicId: other, code: REFUSED.T }],
    });
    some.close();
  });
});

describe("a token", () => {
  const mint = async (credential: string, body: object) => {
    const answer = await ask(credential, "POST", "/v1/tokens", body);
    return answer;
  };

  test("[JWT-1] has at most the rights of its maker", async () => {
    const wide = [{ topics: { prefix: "" }, operations: ["READ"] }];
    expectAnswer(await mint(keys.C, { grants: wide }), "C", "wide");
    expectAnswer(await mint(keys.C, { role: "admin" }), "C", "admin");
    const one = [{ topics: { exact: "orders.x" }, operations: ["READ"] }];
    const { status, body } = await mint(keys.C, { grants: one, ttlMs: 60_000, subject: "browser" });
    expect(status).toBe(200);
    expect(Date.parse(body.expiresAt as string)).toBeLessThanOrEqual(Date.now() + 60_000);
    const token = body.token as string;
    expect((await ask(token, "GET", "/v1/me")).body).toMatchObject({
      principal: "User:browser",
      grants: one,
    });
    expectAnswer(await ask(token, "GET", `${PART}/records`), 200, "its topic");
    expectAnswer(await ask(token, "GET", "/v1/topics/orders.z"), "T", "another one");
    expectAnswer(await mint(token, { grants: one }), "C", "a token of a token");
    const { body: listed } = await ask(token, "GET", "/v1/topics");
    expect(listed.topics).toMatchObject([{ name: "orders.x" }]);
  });

  test("[APK-5] is accepted in the query for an EventSource only, and a key never is", async () => {
    const { body } = await mint(keys.C, {});
    const token = body.token as string;
    expect((await ask(null, "GET", `${T}/stream?access_token=${token}`)).status).toBe(200);
    expect((await ask(null, "GET", `${PART}/records?access_token=${token}`)).status).toBe(401);
    for (const path of [`${T}/stream`, `${PART}/records`, "/v1/me"])
      for (const key of [keys.C, ROOT_KEY])
        expect((await ask(null, "GET", `${path}?access_token=${key}`)).status).toBe(401);
  });

  test("[APK-5] Basic takes the id and secret of a key, and root with its key", async () => {
    const basic = (user: string, password: string) => ({
      authorization: `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`,
    });
    const [, id = ""] = keys.C.split("_");
    const secret = keys.C.slice(`rvk_${id}_`.length, -6);
    const me = async (user: string, password: string) =>
      (await ask(null, "GET", "/v1/me", undefined, basic(user, password))).body;
    expect(await me(id, secret)).toMatchObject({ principal: "User:C" });
    expect(await me(id, keys.C)).toMatchObject({ principal: "User:C" });
    expect(await me("root", ROOT_KEY)).toMatchObject({ principal: "User:root" });
    for (const [user, password] of [
      [id, "x"],
      ["root", "x"],
      [`${id}x`, secret],
      ["", ""],
    ] as const)
      expect(await me(user, password)).toMatchObject({ code: "SASL_AUTHENTICATION_FAILED" });
  });

  test("[ACL-8] ends, and the sockets that it opened end with it", async () => {
    const { body } = await mint(keys.C, { ttlMs: 2_000 });
    const token = body.token as string;
    const partition = await opened(`${PART}/socket`, token);
    partition.send({ type: "attach", attachId: 1, offset: "latest" });
    expect(await partition.next()).toMatchObject({ type: "attached" });
    const member = await opened("/v1/groups/billing.e/socket", token);
    member.send({
      type: "join",
      memberId: crypto.randomUUID(),
      memberEpoch: 0,
      topics: ["orders.z"],
    });
    expect(await member.next()).toMatchObject({ type: "assignment" });
    const plain = await opened("/v1/groups/billing.f/consume?topics=orders.z", token);
    expect(await plain.next()).toMatchObject({ type: "assigned" });
    // The group closes its member by itself.
    expect(await member.closed).toMatchObject({ code: 4005 });
    expect((await plain.closed).code).toBe(4005);
    expect(Date.now()).toBeGreaterThanOrEqual(Date.parse(body.expiresAt as string));
    // The partition does so before it would send anything.
    expect(partition.messages).toHaveLength(1);
    await ask(keys.W, "POST", `${T}/records`, { records: [{ value: "late" }] });
    expect(await partition.closed).toMatchObject({ code: 4005 });
    expect(partition.messages).toHaveLength(1);
    expect(await ask(token, "GET", "/v1/me")).toMatchObject({ status: 401 });
  });
});

describe("an API key", () => {
  test("[APK-2] is shown once, and the day of its use is noted", async () => {
    const { body: made } = await admin("POST", "/v1/keys", { principal: "once", role: "read" });
    const key = made.key as string;
    expect(made).toMatchObject({ principal: "User:once", expiresAt: null, lastUsed: null });
    const found = async () => {
      const { body } = await admin("GET", "/v1/keys");
      return (body.keys as Record<string, unknown>[]).find(({ id }) => id === made.id);
    };
    expect(JSON.stringify(await found())).not.toContain(key.slice(-49));
    expect(Object.keys((await found()) ?? {})).not.toContain("hash");
    await ask(key, "GET", "/v1/me");
    expect(await found()).toMatchObject({ lastUsed: new Date().toISOString().slice(0, 10) });
  });

  test("[APK-3] [ACL-8] can be changed, expires, and is gone once revoked", async () => {
    const { body } = await admin("POST", "/v1/keys", { principal: "p", role: "read" });
    const key = body.key as string;
    expect((await ask(key, "GET", "/v1/topics/other.y")).status).toBe(200);
    const reader = await opened("/v1/topics/other.y/stream", key);
    const grants = [{ topics: { exact: "orders.x" }, operations: ["READ"] }];
    expect(await admin("PATCH", `/v1/keys/${body.id}`, { grants })).toMatchObject({
      body: { grants },
    });
    expectAnswer(await ask(key, "GET", "/v1/topics/other.y"), "T", "narrowed");
    expect((await admin("DELETE", `/v1/keys/${body.id}?now=other.y`)).status).toBe(204);
    expect((await ask(key, "GET", "/v1/me")).status).toBe(401);
    expect((await reader.closed).code).toBe(4005);
    expect((await admin("DELETE", `/v1/keys/${body.id}`)).status).toBe(404);
    const past = { principal: "p", role: "read", expiresAt: 1 };
    expect(await admin("POST", "/v1/keys", past)).toMatchObject({ status: 400 });
    const soon = { principal: "p", role: "read", expiresAt: Date.now() + 300 };
    const { body: expiring } = await admin("POST", "/v1/keys", soon);
    await expect
      .poll(async () => (await ask(expiring.key as string, "GET", "/v1/me")).status)
      .toBe(401);
  });
});

/** Sends a request with headers that `fetch` would not send. */
function askRaw(url: string, headers: Record<string, string>, method = "GET"): Promise<number> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(url, { method, headers }, (response) => {
      response.resume();
      response.on("end", () => resolve(response.statusCode ?? 0));
    });
    request.on("error", reject);
    request.end(method === "POST" ? '{"name":"evil"}' : undefined);
  });
}

describe("an open broker", () => {
  let openBroker: BrokerProcess;
  beforeAll(async () => {
    openBroker = await BrokerProcess.start();
  });
  afterAll(() => openBroker.stop());

  test("[MODE-1] answers this machine, and no page of the web", async () => {
    const { url } = openBroker;
    const topics = `${url}/v1/topics`;
    const own = new URL(url).host;
    expect(await askRaw(topics, {})).toBe(200);
    expect(await askRaw(topics, { host: `localhost:${new URL(url).port}` })).toBe(200);
    expect(await askRaw(topics, { origin: "http://localhost:3000" })).toBe(200);
    expect(await askRaw(topics, { host: "evil.example" })).toBe(403);
    expect(await askRaw(topics, { host: own, origin: "https://evil.example" })).toBe(403);
    expect(await askRaw(topics, { host: own, origin: "null" })).toBe(403);
    // A simple request needs no preflight.
    const simple = { "content-type": "text/plain", origin: "https://evil.example" };
    expect(await askRaw(topics, simple, "POST")).toBe(403);
    const listed = await (await fetch(topics)).json();
    expect(listed).toEqual({ topics: [] });
    const socket = new WebSocket(`${url.replace("http", "ws")}/v1/groups/g/socket`, {
      headers: { origin: "https://evil.example" },
    });
    const status = new Promise((resolve) =>
      socket.on("unexpected-response", (_, response) => resolve(response.statusCode)),
    );
    socket.on("error", () => {});
    expect(await status).toBe(403);
  });

  test("[MODE-1] [APK-5] honors a credential, and refuses a wrong one", async () => {
    const { url } = openBroker;
    const created = await fetch(`${url}/v1/keys`, {
      method: "POST",
      body: JSON.stringify({ principal: "a", role: "write" }),
    });
    const { key } = (await created.json()) as { key: string };
    const status = async (credential: string) =>
      (await fetch(`${url}/v1/configs`, { headers: { authorization: `Bearer ${credential}` } }))
        .status;
    expect(await status(key)).toBe(403);
    expect(await status(`${key}x`)).toBe(401);
    expect((await fetch(`${url}/v1/configs`)).status).toBe(200);
  });
});

test("[MODE-2] on another HOST a root key is made, printed once and kept", async () => {
  const first = await BrokerProcess.start({ env: { HOST: "0.0.0.0" } });
  const url = first.url.replace("0.0.0.0", "127.0.0.1");
  const [, key] = /root key of this broker is (\S+)/.exec(first.lines.join("\n")) ?? [];
  const status = async (credential: string | null) => {
    const headers = credential === null ? {} : { authorization: `Bearer ${credential}` };
    return (await fetch(`${url}/v1/topics`, { headers })).status;
  };
  expect(await status(null)).toBe(401);
  expect(await status(key as string)).toBe(200);
  await first.signal("SIGTERM");
  const again = await BrokerProcess.start({
    env: { HOST: "0.0.0.0", RIVULET_ROOT_KEY_NEXT: "the-next-root-key" },
    dataDir: first.dataDir,
    port: first.port,
  });
  expect(again.lines.join("\n")).not.toContain(key);
  expect(await status(key as string)).toBe(200);
  expect(await status("the-next-root-key")).toBe(200);
  expect(await status("another")).toBe(401);
  await again.stop();
});
