// The interfaces of a closed broker under fire: thousands of nearly valid credentials over HTTP, WebSockets and Kafka's
// protocol. One client works normally. test/unit/worker/access/hostile.test.ts does the same without sockets.
import { Agent, request } from "node:http";
import { connect } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parseApiKey } from "../../src/core/access/api-key.ts";
import { ERRORS, KAFKA_ERRORS } from "../../src/core/errors.ts";
import { Rivulet } from "../../src/sdk/index.ts";
import { CredentialFuzz, type Good, sendable } from "../support/credential-fuzz.ts";
import { isDeep, runs } from "../support/effort.ts";
import { type KafkaLine, RawKafka, RawKafkaSocket } from "../support/kafka-client.ts";
import { decodeResponse, encodeRequest, framed } from "../support/kafka-frames.ts";
import * as messages from "../support/kafka-schemas.ts";
import { secretWatch } from "../support/secret-watch.ts";
import { BrokerProcess } from "./broker.ts";
import { workerdBelow } from "./memory.ts";

const { numRuns: SHOTS } = runs(2_000);
/** After this many of them memory is measured for the first time: by then every cache of the broker has content. */
const WARM_UP = 0.3;
const MIDDLE = 0.65;
/**
 * The growth and shrinking of an engine's heap by itself, as for the frames of kafka-fuzz.test.ts. If each of the 70,000
 * shots after the warm-up left 2 KB behind, less than the longest credential, it would be more.
 */
const MAX_GROWTH_MIB = 130;
/** A wrong login is answered a tenth of a second later, so many run at once. */
const AT_ONCE = 192;
/** Far more than any response takes; a client neither answered nor closed by then hangs. */
const HANG_MS = 60_000;
const ROOT_KEY = "the-root-key-of-this-test";

let broker: BrokerProcess;
let good: Good;
beforeAll(async () => {
  broker = await BrokerProcess.start({ env: { RIVULET_ROOT_KEY: ROOT_KEY } });
  const root = new Rivulet({ url: broker.url, token: ROOT_KEY }).admin;
  await root.createTopic({ name: "t" });
  const { key } = await root.createKey({ principal: "alice", role: "consume" });
  const { token } = await new Rivulet({ url: broker.url, token: key }).admin.createToken({
    ttlMs: 86_400_000,
  });
  good = { rootKey: ROOT_KEY, key, token };
});
afterAll(async () => {
  agent.destroy();
  await broker.stop();
});

const agent = new Agent({ keepAlive: true, maxSockets: 32 });

const UPGRADE = {
  connection: "Upgrade",
  upgrade: "websocket",
  "sec-websocket-version": "13",
  "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA==",
};

/** Returns the code of the refusal. */
function overHttp(path: string, headers: Record<string, string>): Promise<string> {
  return new Promise((resolve, reject) => {
    const asked = request(`${broker.url}${path}`, { agent, headers }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (more: string) => {
        text += more;
      });
      response.on("end", () => {
        secretWatch.watchAnswer("GET", path, text); // Nor does it contain what was shown.
        resolve(codeIn(response.statusCode, text));
      });
    });
    asked.on("upgrade", (_, socket) => {
      socket.destroy();
      resolve("101");
    });
    asked.on("error", reject);
    asked.end();
  });
}

/** Sends a header as no library would. Returns the code of the refusal. */
function overRaw(authorization: string): Promise<string> {
  const socket = connect(broker.port, "127.0.0.1");
  socket.on("error", () => {}); // A reset is an end like any other.
  socket.setEncoding("utf8");
  let text = "";
  socket.on("data", (more) => {
    text += more;
  });
  socket.end(
    `GET /v1/me HTTP/1.1\r\nhost: a\r\nauthorization: ${authorization}\r\nconnection: close\r\n\r\n`,
  );
  return new Promise((resolve) =>
    socket.once("close", () => {
      secretWatch.watchAnswer("GET", "/v1/me", text);
      // A head that ends too early is several requests, and has several responses.
      const code = /"code":"(\w+)"/.exec(text)?.[1];
      const status = /^HTTP\/1.1 (\d+)/.exec(text)?.[1];
      resolve(code ?? (status === undefined ? "closed" : `HTTP ${status}`));
    }),
  );
}

/** A problem's code. The platform's own refusals of invalid HTTP have none. */
function codeIn(status: number | undefined, text: string): string {
  try {
    return (JSON.parse(text) as { code: string }).code;
  } catch {
    return `HTTP ${status}`;
  }
}

const NAMES = new Map<number, string>([
  ...Object.entries(ERRORS).map(([name, { code }]) => [code, name] as const),
  ...Object.entries(KAFKA_ERRORS).map(([name, code]) => [code, name] as const),
]);

interface Answered {
  readonly errorCode: number;
  readonly authBytes?: Uint8Array;
}

async function ask(
  line: KafkaLine,
  api: typeof messages.SASL_HANDSHAKE | typeof messages.SASL_AUTHENTICATE,
  version: number,
  body: object,
): Promise<Answered> {
  line.write(framed(encodeRequest(api, version, body)));
  const frame = await line.frame();
  secretWatch.watchAnswer("SASL", api.name, frame.toString("latin1"));
  return decodeResponse<Answered>(api, version, frame);
}

/** Sends a message without a header. If the connection is closed, that is the refusal. */
async function askRaw(line: KafkaLine, authBytes: Uint8Array): Promise<Answered> {
  line.write(framed(Buffer.from(authBytes)));
  try {
    const frame = await line.frame();
    secretWatch.watchAnswer("SASL", "without a header", frame.toString("latin1"));
    return { errorCode: KAFKA_ERRORS.NONE, authBytes: frame };
  } catch {
    return { errorCode: ERRORS.SASL_AUTHENTICATION_FAILED.code };
  }
}

/** Returns the code of the refusal, after which the broker has closed the connection. */
async function overKafka(fuzz: CredentialFuzz, line: KafkaLine, version: number): Promise<string> {
  const { mechanism, first, next } = fuzz.sasl();
  const isScram = mechanism.startsWith("SCRAM-");
  // Now and then a client is in a hurry.
  const shakesHands = version % 10 > 0;
  // After version 0 of the handshake messages have no headers, and a refused client is disconnected [SASL-6].
  const isRaw = shakesHands && version % 2 === 0;
  const authenticate = (authBytes: Uint8Array) =>
    isRaw
      ? askRaw(line, authBytes)
      : ask(line, messages.SASL_AUTHENTICATE, version % 3, { authBytes });
  let answer: Answered = { errorCode: KAFKA_ERRORS.NONE };
  if (shakesHands)
    answer = await ask(line, messages.SASL_HANDSHAKE, version % 2, {
      mechanism: mechanism.toWellFormed().slice(0, 8_000),
    });
  if (answer.errorCode === KAFKA_ERRORS.NONE) answer = await authenticate(first);
  if (isScram && answer.errorCode === KAFKA_ERRORS.NONE)
    answer = await authenticate(next(Buffer.from(answer.authBytes ?? []).toString()));
  if (answer.errorCode === KAFKA_ERRORS.NONE) return "NONE";
  await line.closed;
  return NAMES.get(answer.errorCode) ?? String(answer.errorCode);
}

/** Sends a broken SASL message. The broker answers or not, and closes the connection. */
async function overBrokenKafka(fuzz: CredentialFuzz, line: RawKafka): Promise<string> {
  const { mechanism, first } = fuzz.sasl();
  const bytes = Buffer.concat([
    framed(encodeRequest(messages.SASL_HANDSHAKE, 1, { mechanism: mechanism.slice(0, 20) })),
    framed(encodeRequest(messages.SASL_AUTHENTICATE, 2, { authBytes: first })),
  ]);
  for (const [i, at] of fuzz.bytes(4).entries()) {
    const place = 4 + (at % (bytes.length - 4));
    bytes[place] = (bytes[place] ?? 0) ^ (1 << i);
  }
  line.socket.end(bytes);
  await line.closed;
  return "closed";
}

/** The allowed responses, by interface. */
const REFUSALS: Readonly<Record<string, readonly string[]>> = {
  http: ["SASL_AUTHENTICATION_FAILED"],
  // The platform accepts 64 KiB.
  query: ["SASL_AUTHENTICATION_FAILED", "HTTP 414"],
  raw: ["SASL_AUTHENTICATION_FAILED", "HTTP 400", "closed"],
  kafka: ["SASL_AUTHENTICATION_FAILED", "ILLEGAL_SASL_STATE", "UNSUPPORTED_SASL_MECHANISM"],
  broken: ["closed"],
};

/** One shot: its interface, and its response. */
async function shoot(fuzz: CredentialFuzz, number: number): Promise<[way: string, code: string]> {
  const query = () => encodeURIComponent(fuzz.bearer().toWellFormed());
  switch (number % 16) {
    case 0:
      return ["raw", await overRaw(fuzz.authorization())];
    case 1:
    case 2:
      return ["query", await overHttp(`/v1/topics/t/stream?access_token=${query()}`, {})];
    case 3:
      return [
        "query",
        await overHttp(`/v1/groups/g/consume?topics=t&access_token=${query()}`, UPGRADE),
      ];
    case 4:
    case 5: {
      const offered = { "sec-websocket-protocol": sendable(fuzz.subprotocols()) };
      return ["http", await overHttp("/v1/groups/g/socket", { ...UPGRADE, ...offered })];
    }
    case 6:
      return ["broken", await overBrokenKafka(fuzz, new RawKafka(broker.kafka))];
    case 7:
      return ["kafka", await overKafka(fuzz, new RawKafkaSocket(broker.url), number)];
    case 8:
    case 9:
    case 10:
    case 11:
      return ["kafka", await overKafka(fuzz, new RawKafka(broker.kafka), number)];
    default:
      return ["http", await overHttp("/v1/me", { authorization: sendable(fuzz.authorization()) })];
  }
}

/** Fires this many shots from there on. Counts the responses, and returns those that are no refusal. */
async function fire(from: number, to: number, counts: Map<string, number>): Promise<string[]> {
  const wrong: string[] = [];
  let next = Math.round(from);
  const gun = async () => {
    while (next < to) {
      const seed = next++;
      // A seed of its own, so that a shot can be repeated alone.
      const [way, code] = await inTime(shoot(new CredentialFuzz(seed, good), seed));
      const what = `${way}: ${code}`;
      counts.set(what, (counts.get(what) ?? 0) + 1);
      if (!REFUSALS[way]?.includes(code)) wrong.push(`shot ${seed}, ${what}`);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, gun));
  return wrong;
}

/** Returns the outcome of a shot, or its other end. */
async function inTime(shot: Promise<[string, string]>): Promise<[string, string]> {
  let timer: NodeJS.Timeout | undefined;
  const hung = new Promise<[string, string]>((resolve) => {
    timer = setTimeout(() => resolve(["shot", "hung"]), HANG_MS);
  });
  const failed = (error: unknown): [string, string] => ["shot", String(error)];
  const outcome = await Promise.race([shot.catch(failed), hung]);
  clearTimeout(timer);
  return outcome;
}

/** Connects with each valid credential, on each interface. */
async function comeInRightly(): Promise<void> {
  for (const credential of [good.rootKey, good.key, good.token]) {
    const headers = { authorization: `Bearer ${credential}` };
    const { status } = await fetch(`${broker.url}/v1/me`, { headers });
    expect(status).toBe(200);
  }
  const { id, secret } = parseApiKey(good.key) ?? {};
  const line = new RawKafka(broker.kafka);
  await ask(line, messages.SASL_HANDSHAKE, 1, { mechanism: "PLAIN" });
  const authBytes = Buffer.from(`\0${id}\0${secret}`);
  const { errorCode } = await ask(line, messages.SASL_AUTHENTICATE, 2, { authBytes });
  expect(errorCode).toBe(KAFKA_ERRORS.NONE);
  line.close();
}

test("[APK-5] [JWT-3] [SASL-1] any invalid credential is refused as such, and memory stays as it was", async () => {
  const counts = new Map<string, number>();
  let rounds = 0;
  let isOver = false;
  const minding = (async () => {
    for (; !isOver; rounds++) await comeInRightly();
  })();
  minding.catch(() => {}); // It is awaited below.
  const before = workerdBelow(broker.pid);
  const wrong = await fire(0, SHOTS * WARM_UP, counts);
  const warm = workerdBelow(broker.pid);
  wrong.push(...(await fire(SHOTS * WARM_UP, SHOTS * MIDDLE, counts)));
  const middle = workerdBelow(broker.pid);
  wrong.push(...(await fire(SHOTS * MIDDLE, SHOTS, counts)));
  const after = workerdBelow(broker.pid);
  isOver = true;
  await minding;
  if (isDeep)
    console.log(
      `${SHOTS} shots, ${rounds} rounds beside them; memory ${[before, warm, middle, after].map(({ memoryMib }) => Math.round(memoryMib)).join(", ")} MiB\n${[
        ...counts,
      ]
        .map(([what, count]) => `${what} ${count}`)
        .sort()
        .join("\n")}`,
    );
  expect(wrong).toEqual([]);
  expect(after.pid).toBe(before.pid);
  expect(after.memoryMib - warm.memoryMib).toBeLessThan(MAX_GROWTH_MIB);
  expect(broker.lines.filter((line) => !isExpected(line))).toEqual([]);
}, 1_800_000);

/** A client's fault is reported in a sentence; a broker's own error has its name and its stack. */
function isExpected(line: string): boolean {
  return /^Rivulet is ready|^\{"audit":|^kafka: connection closed: (?!\w*Error)/.test(line);
}
