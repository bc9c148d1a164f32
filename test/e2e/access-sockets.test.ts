// Access over sockets of every kind, message by message, and with credentials of every kind: the columns of the access
// matrix, and invalid credentials.
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import {
  calculateJwkThumbprint,
  exportJWK,
  exportSPKI,
  generateKeyPair,
  type JWK,
  type JWTHeaderParameters,
  SignJWT,
} from "jose";
import { Kafka, logLevel } from "kafkajs";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { CALLER_HEADER, upgradeFor } from "../../src/calls/socket-caller.ts";
import { ROOT } from "../../src/core/access/caller.ts";
import { ERRORS } from "../../src/core/errors.ts";
import { encodeBatch } from "../../src/core/log/record-batch.ts";
import { kafkaSocketFactory } from "../../src/kafkajs/socket-factory.ts";
import { writeAppendFrame } from "../../src/protocol/append-frame.ts";
import { Rivulet } from "../../src/sdk/index.ts";
import * as apis from "../support/kafka-schemas.ts";
import { until } from "../support/until.ts";
import {
  ClosedBroker,
  COLUMNS,
  type Column,
  logIn,
  REFUSED,
  type TestSocket,
  UNAUTHENTICATED,
} from "./closed-broker.ts";

const TOPIC = "orders.x";
const SOCKET = `/v1/topics/${TOPIC}/partitions/0/socket`;
const GROUP = "billing.x";
const { T, G, C } = REFUSED;

let broker: ClosedBroker;
let issuer: TestIssuer;
let own: Signer;
/** The ids of the topic, and of another's topic. */
let orderId: string;
let otherId: string;

/** An append of one record. */
const FRAME = writeAppendFrame({
  requestId: 1,
  expectedOffset: null,
  batches: encodeBatch([{ key: null, value: null, headers: [], timestamp: 1 }] as never),
});

beforeAll(async () => {
  own = await newSigner();
  issuer = await TestIssuer.start();
  broker = await ClosedBroker.start([TOPIC, "orders.z", "billing.x"], {
    RIVULET_SIGNING_KEY: JSON.stringify(own.secret),
    RIVULET_JWT_ISSUERS: JSON.stringify([issuer.configuration]),
  });
  otherId = await broker.createTopic("other.y");
  orderId = (await broker.admin("GET", `/v1/topics/${TOPIC}`)).topicId as string;
  await broker.produce(TOPIC, "a");
});
afterAll(async () => {
  await broker.stop();
  await issuer.stop();
});

const keyOf = (column: Column) => broker.keys[column].key;

/** The responses of each column, in order. */
async function ofEach<Told>(ask: (column: Column) => Promise<Told>): Promise<Told[]> {
  const told: Told[] = [];
  for (const column of COLUMNS) told.push(await ask(column));
  return told;
}

/** The code with which an upgrade is refused, or what the socket returns. */
async function overSocket<Told>(
  path: string,
  column: Column,
  find: (socket: TestSocket) => Promise<Told>,
): Promise<Told | unknown> {
  const socket = await broker.open(path, keyOf(column));
  if ("status" in socket) return socket.body.code;
  const found = await find(socket);
  socket.cut();
  return found;
}

/** The type of the next message, or the code of the error that it is. */
async function outcome(socket: TestSocket): Promise<unknown> {
  const message = await socket.next();
  return message.type === "error" ? message.code : message.type;
}

describe("a partition's socket", () => {
  test("[ACL-7] appends for a caller that may write", async () => {
    const told = await ofEach((column) =>
      overSocket(SOCKET, column, async (socket) => {
        socket.send(FRAME);
        return await outcome(socket);
      }),
    );
    expect(told).toEqual([T, "appended", T, T, T, "appended"]);
  });

  test("[ACL-7] is judged by its credential, whatever else its client sends", async () => {
    const { headers } = upgradeFor(ROOT);
    const forged = { [CALLER_HEADER]: headers[CALLER_HEADER] as string };
    const path = `${SOCKET}?topicId=${orderId}`;
    const socket = await broker.open(path, keyOf("R"), forged);
    if ("status" in socket) throw new Error(JSON.stringify(socket));
    socket.send(FRAME);
    expect(await outcome(socket)).toBe(T);
    socket.cut();
    for (const each of [path, "/v1/groups/billing.x/socket", "/kafka"]) {
      const other = await broker.open(each, `${keyOf("R")}x`, forged);
      expect(other, each).toMatchObject({ status: 401 });
    }
    const group = await broker.open("/v1/groups/billing.x/socket", keyOf("R"), forged);
    expect(group).toMatchObject({ status: 403 });
    expect((await fetch(`${broker.url}/v1/topics`, { headers: forged })).status).toBe(401);
  });

  test.each([
    ["without an owner", false, ["attached", T, T, T, "attached", "attached"]],
    ["as the owner of a group", true, [G, T, T, T, "attached", "attached"]],
  ] as const)("[ACL-7] is read by a caller that may read, %s", async (_, isOwner, expected) => {
    const group = "billing.owned";
    const member = await broker.member(group, TOPIC, keyOf("C"));
    const { incarnation, memberEpoch, memberNumber, partitions } = member.messages[0] as {
      incarnation: number;
      memberEpoch: number;
      memberNumber: number;
      partitions: { signature: string }[];
    };
    const [{ signature } = {}] = partitions;
    const owner = { group, incarnation, memberEpoch, memberNumber, signature };
    const attach = { type: "attach", attachId: 1, offset: 0, ...(isOwner ? { owner } : {}) };
    const told = await ofEach((column) =>
      overSocket(SOCKET, column, async (socket) => {
        socket.send(attach);
        return await outcome(socket);
      }),
    );
    expect(told).toEqual(expected);
    member.send({ type: "leave" });
    await member.closed;
  });
});

describe("a member of a group", () => {
  const join = (more: object) => ({
    ...{ type: "join", memberId: crypto.randomUUID(), memberEpoch: 0, topics: [], ...more },
  });
  const topicsIn = (partitions: unknown) =>
    [...new Set((partitions as { topic: string }[]).map(({ topic }) => topic))].sort();
  const ALL = ["billing.x", "orders.x", "orders.z", "other.y"];

  test("[ACL-7] joins by its socket for what it may read", async () => {
    const told = await ofEach((column) =>
      overSocket(`/v1/groups/billing.${column}/socket`, column, async (socket) => {
        socket.send(join({ topics: [TOPIC] }));
        return await outcome(socket);
      }),
    );
    expect(told).toEqual([G, G, T, G, "assignment", "assignment"]);
  });

  test.each<[string, (column: Column) => Promise<unknown>]>([
    [
      "its socket",
      (column) =>
        overSocket(`/v1/groups/billing.s${column}/socket`, column, async (socket) => {
          socket.send(join({ topicPattern: ".*" }));
          return topicsIn((await socket.next("assignment")).partitions);
        }),
    ],
    [
      "consume",
      (column) => {
        const group = `billing.c${column}`;
        return overSocket(`/v1/groups/${group}/consume?pattern=.*`, column, async () => {
          const described = await until("it has joined", async () => {
            const { body } = await broker.ask(keyOf("A"), "GET", `/v1/groups/${group}`);
            return body.state === "STABLE" && (body.members as { assignment: unknown }[])[0];
          });
          return topicsIn(described.assignment);
        });
      },
    ],
    [
      "poll",
      async (column) => {
        const path = `/v1/groups/billing.p${column}/poll`;
        const body = { instanceId: "p", pattern: ".*" };
        const answer = await broker.ask(keyOf(column), "POST", path, body);
        return answer.status === 200 ? topicsIn(answer.body.assignment) : answer.body.code;
      },
    ],
  ])("[ACL-7] by a pattern over %s is assigned what it may read", async (_, assigned) => {
    expect(await ofEach(assigned)).toEqual([G, G, [], G, ["orders.x", "orders.z"], ALL]);
  });

  test("[ACL-7] commits what it may read", async () => {
    const told = await ofEach((column) =>
      overSocket(`/v1/groups/billing.o${column}/socket`, column, async (socket) => {
        socket.send(join({ topicPattern: ".*" }));
        const { memberEpoch } = await socket.next("assignment");
        const offsets = [orderId, otherId].map((topicId) => ({ topicId, partition: 0, offset: 0 }));
        socket.send({ type: "commit", requestId: 1, memberEpoch, offsets });
        const { rejected } = await socket.next("committed");
        return (rejected as { topicId: string; code: string }[]).map(({ topicId, code }) => [
          topicId,
          code,
        ]);
      }),
    );
    const own: [string, string] = [orderId, T];
    const other: [string, string] = [otherId, T];
    expect(told).toEqual([G, G, [own, other], G, [other], []]);
  });
});

describe("the SDK", () => {
  const sdkOf = (column: Column) => new Rivulet({ url: broker.url, token: keyOf(column) });
  const codeOf = (error: unknown) => (error as { code?: string }).code ?? String(error);

  test("[ACL-5] its producer writes for a caller that may", async () => {
    const told = await ofEach(async (column) => {
      const producer = sdkOf(column).newProducer({ deliveryTimeoutMs: 10_000 });
      const send = () => producer.send(TOPIC, [{ value: "b" }]).then(() => "stored", codeOf);
      const told = new Set<string>();
      // A busy producer opens a socket, and the others use requests.
      for (let i = 0; i < 20; i++)
        for (const each of await Promise.all([send(), send()])) told.add(each);
      return [...told].join();
    });
    // As in Kafka, a caller that may write nowhere is refused when it requests a producer id.
    expect(told).toEqual([C, "stored", T, T, C, "stored"]);
  });

  test("[ACL-7] its reader reads what it may, without a group", async () => {
    const told = await ofEach(async (column) => {
      const { promise, resolve } = Promise.withResolvers<unknown>();
      const options = { topic: TOPIC, onError: (error: { code: string }) => resolve(error.code) };
      const reader = await sdkOf(column).reader(options).catch(codeOf);
      if (typeof reader === "string") return reader;
      onTestFinished(() => reader.close());
      void reader
        .run({ eachRecord: () => resolve("read") })
        .catch((error) => resolve(codeOf(error)));
      return promise;
    });
    expect(told).toEqual(["read", T, T, T, "read", "read"]);
  });

  test("[ACL-7] its consumer reads what it may", async () => {
    const told = await ofEach((column) => {
      const { promise, resolve } = Promise.withResolvers<unknown>();
      const consumer = sdkOf(column).consumer({
        groupId: `billing.sdk${column}`,
        topics: [TOPIC],
        onError: (error) => resolve(error.code),
      });
      onTestFinished(() => consumer.close());
      void consumer
        .run({ eachRecord: () => resolve("read") })
        .catch((error) => resolve(codeOf(error)));
      return promise;
    });
    // A refused socket does not say why, to any client.
    const refused = "NETWORK_EXCEPTION";
    expect(told).toEqual([refused, refused, T, refused, "read", "read"]);
  });
});

describe("a credential that is none", () => {
  interface Way {
    readonly path: string;
    readonly isSocket: boolean;
  }
  const WAYS: readonly Way[] = [
    { path: "/v1/topics", isSocket: false },
    { path: `/v1/topics/${TOPIC}/stream`, isSocket: false },
    { path: `/v1/topics/${TOPIC}/stream`, isSocket: true },
    { path: SOCKET, isSocket: true },
    { path: `/v1/groups/${GROUP}/socket`, isSocket: true },
    { path: `/v1/groups/${GROUP}/consume?topics=${TOPIC}`, isSocket: true },
    { path: "/kafka", isSocket: true },
  ];
  const statusOf = async ({ path, isSocket }: Way, credential: string) => {
    if (!isSocket) {
      const headers = { authorization: `Bearer ${credential}` };
      const response = await fetch(`${broker.url}${path}`, { headers });
      await response.body?.cancel();
      return response.status;
    }
    const socket = await broker.open(path, credential);
    if ("status" in socket) return socket.status;
    socket.cut();
    return 101;
  };

  /** Tokens that only a holder of one of this deployment's keys could make, and what is wrong with each. */
  const WRONG: readonly [string, () => Promise<string>][] = [
    ["expired", () => own.sign({ exp: seconds() - 1, iat: seconds() - 60 })],
    ["of tomorrow", () => own.sign({ iat: seconds() + 600, exp: seconds() + 900 })],
    ["for another audience", () => own.sign({ aud: "another" })],
    ["of another issuer", () => own.sign({ iss: "https://another.example" })],
    ["signed by somebody else", async () => (await newSigner()).sign({}, { kid: own.kid })],
    ["HS256 with the public key as JSON", () => own.signWith(JSON.stringify(own.jwk))],
    ["HS256 with the public key as PEM", () => own.signWith(own.spki)],
    ["alg none", async () => unsigned(await own.sign({}))],
  ];

  test("[JWT-3] the same token without a fault is accepted", async () => {
    const token = await own.sign({});
    for (const way of WAYS)
      expect(await statusOf(way, token), way.path).toBe(way.isSocket ? 101 : 200);
    const client = broker.tcp();
    const answer = await logIn(client, "OAUTHBEARER", { id: "", secret: token });
    expect(answer.errorCode).toBe(0);
    client.close();
  });

  test.each(WRONG)("[JWT-3] a token that is %s is refused everywhere", async (_, make) => {
    const token = await make();
    for (const way of WAYS) expect(await statusOf(way, token), way.path).toBe(401);
    const client = broker.tcp();
    const answer = await logIn(client, "OAUTHBEARER", { id: "", secret: token });
    expect(answer.errorCode).toBe(ERRORS.SASL_AUTHENTICATION_FAILED.code);
    await client.closed;
  });

  test("[APK-5] neither is one in the query of a socket, whatever it is", async () => {
    for (const credential of [keyOf("C"), keyOf("A"), await own.sign({})])
      for (const { path } of WAYS.filter(({ isSocket }) => isSocket)) {
        const query = `${path.includes("?") ? "&" : "?"}access_token=${credential}`;
        expect(await broker.open(`${path}${query}`, null), path).toMatchObject({ status: 401 });
      }
  });
});

describe("a token of an issuer", () => {
  test("[JWT-4] a flood of made-up keys fetches the set once, and valid tokens still work", async () => {
    expect((await broker.ask(await issuer.sign(), "GET", "/v1/me")).body).toMatchObject({
      principal: "User:alice",
    });
    expect(issuer.fetches).toBe(1);
    const flood = Array.from({ length: 100 }, async (_, i) =>
      broker.ask(await issuer.sign({ kid: `made-up-${i}` }), "GET", "/v1/me"),
    );
    for (const { status } of await Promise.all(flood)) expect(status).toBe(401);
    expect((await broker.ask(await issuer.sign(), "GET", "/v1/me")).status).toBe(200);
    expect(issuer.fetches).toBe(1);
  });

  test("[JWT-3] whose id two keys have is refused", async () => {
    expect(
      await broker.ask(await issuer.sign({ kid: issuer.twice }), "GET", "/v1/me"),
    ).toMatchObject({ status: 401, body: { code: UNAUTHENTICATED } });
  });
});

describe("Kafka over a WebSocket", () => {
  const clientOf = (token: Column | null, login?: Column) => {
    const { id, secret } = broker.keys[login ?? "A"];
    const client = new Kafka({
      brokers: ["b:1"],
      logLevel: logLevel.NOTHING,
      retry: { retries: 0 },
      socketFactory: kafkaSocketFactory({
        url: broker.url,
        ...(token === null ? {} : { token: keyOf(token) }),
      }),
      ...(login === undefined
        ? {}
        : { sasl: { mechanism: "plain", username: id, password: secret } }),
    }).admin();
    onTestFinished(() => client.disconnect());
    return client;
  };
  const topicsOf = async (token: Column | null, login?: Column) => {
    const client = clientOf(token, login);
    await client.connect();
    return (await client.listTopics()).sort();
  };
  const ORDERS = ["orders.x", "orders.z"];

  test("[SASL-1] acts for the WebSocket's credential, until it authenticates as another", async () => {
    expect(await topicsOf("C")).toEqual(ORDERS);
    expect(await topicsOf("P")).toEqual(["other.y"]);
    expect(await topicsOf("C", "P")).toEqual(["other.y"]);
    expect(await topicsOf("A", "C")).toEqual(ORDERS);
    expect(await topicsOf(null, "C")).toEqual(ORDERS);
  });

  test("[KFK-22] without a credential must authenticate", async () => {
    await expect(topicsOf(null)).rejects.toThrow(/closed|ILLEGAL_SASL_STATE/i);
  });
});

test("[SASL-5] a second authentication as another principal, or by another mechanism, ends the connection", async () => {
  const { P, C } = broker.keys;
  const token = await own.sign({ sub: "C" });
  for (const [mechanism, next] of [
    ["PLAIN", P],
    ["OAUTHBEARER", { id: "", secret: token }],
  ] as const) {
    const client = broker.tcp();
    expect(await logIn(client, "PLAIN", C)).toMatchObject({ errorCode: 0 });
    expect(await logIn(client, mechanism, next)).toMatchObject({
      errorCode: ERRORS.SASL_AUTHENTICATION_FAILED.code,
    });
    await expect(client.ask(apis.METADATA, 9, { topics: null })).rejects.toThrow("closed");
  }
});

// Tokens.

const seconds = () => Math.floor(Date.now() / 1_000);
const encoded = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
const unsigned = (token: string) => `${encoded({ alg: "none" })}.${token.split(".")[1]}.`;

/** Claims that this deployment accepts, changed. */
const claimsOf = (change: object) => ({
  ...{ iss: "rivulet", aud: "rivulet", sub: "t", iat: seconds() - 60, exp: seconds() + 600 },
  rivulet: { role: "admin" },
  ...change,
});

interface Signer {
  readonly kid: string;
  readonly jwk: JWK;
  readonly secret: JWK;
  readonly spki: string;
  sign(change: object, header?: object): Promise<string>;
  /** By HS256, with this as the secret. */
  signWith(secret: string): Promise<string>;
}

async function newSigner(): Promise<Signer> {
  const { publicKey, privateKey } = await generateKeyPair("ES256", { extractable: true });
  const jwk = await exportJWK(publicKey);
  const kid = await calculateJwkThumbprint(jwk);
  const headerOf = (alg: string, header: object = {}): JWTHeaderParameters => ({
    ...{ alg, kid, typ: "JWT", ...header },
  });
  return {
    kid,
    jwk: { ...jwk, kid, alg: "ES256", use: "sig" },
    secret: await exportJWK(privateKey),
    spki: await exportSPKI(publicKey),
    sign: (change, header) =>
      new SignJWT(claimsOf(change)).setProtectedHeader(headerOf("ES256", header)).sign(privateKey),
    signWith: (secret) =>
      new SignJWT(claimsOf({}))
        .setProtectedHeader(headerOf("HS256"))
        .sign(new TextEncoder().encode(secret)),
  };
}

/** An issuer of tokens with its keys at a URL. */
class TestIssuer {
  /** The id that two of its keys have. */
  readonly twice = "twice";
  fetches = 0;
  readonly #server: Server;
  readonly #signer: Signer;

  private constructor(signer: Signer, keys: readonly JWK[]) {
    this.#signer = signer;
    this.#server = createServer((_, response) => {
      this.fetches++;
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify({ keys }));
    });
  }

  static async start(): Promise<TestIssuer> {
    const [signer, another] = [await newSigner(), await newSigner()];
    const twice = [signer, another].map(({ jwk }) => ({ ...jwk, kid: "twice" }));
    const started = new TestIssuer(signer, [signer.jwk, ...twice]);
    await new Promise<void>((resolve) => started.#server.listen(0, "127.0.0.1", resolve));
    return started;
  }

  get configuration(): object {
    const { port } = this.#server.address() as AddressInfo;
    const jwksUrl = `http://127.0.0.1:${port}/keys`;
    return { iss: "https://id.example", aud: "shop", algorithms: ["ES256"], jwksUrl };
  }

  sign(header: object = {}): Promise<string> {
    return this.#signer.sign({ iss: "https://id.example", aud: "shop", sub: "alice" }, header);
  }

  stop(): Promise<void> {
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }
}
