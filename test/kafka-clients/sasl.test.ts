// Other people's clients at a closed broker: by which mechanisms they authenticate, and what they report when refused.
import { inspect } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { SASL_MECHANISMS, type SaslMechanism } from "../../src/core/access/sasl.ts";
import { until } from "../support/until.ts";
import {
  kafkaJs,
  kafkaPython,
  kcat,
  type LoggingIn,
  type Login,
  platformatic,
  Toolbox,
} from "./logins.ts";
import { type Way, Ways } from "./ways.ts";

const ROOT_KEY = "the-root-key-of-this-test";
const NEXT_ROOT_KEY = "the-next-root-key-of-this-test";

interface Row {
  readonly name: string;
  readonly client: () => LoggingIn;
  readonly mechanisms: readonly SaslMechanism[];
  /** Its message for a refusal. */
  readonly refused: string;
  /** True if it learns why. Version 0 of SaslHandshake has no field for that: there the logs say it. */
  readonly isToldWhy: boolean;
  /** Its message for a missing right to write. */
  readonly mayNot: string;
}

const CLIENTS: readonly Row[] = [
  {
    name: "KafkaJS",
    client: () => kafkaJs,
    mechanisms: SASL_MECHANISMS,
    refused: "KafkaJSSASLAuthenticationError",
    isToldWhy: true,
    mayNot: "TOPIC_AUTHORIZATION_FAILED",
  },
  {
    name: "@platformatic/kafka",
    client: () => platformatic,
    mechanisms: SASL_MECHANISMS,
    refused: "SASL authentication failed",
    isToldWhy: true,
    mayNot: "TOPIC_AUTHORIZATION_FAILED",
  },
  {
    name: "kcat",
    client: () => kcat,
    mechanisms: ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"],
    refused: "SASL authentication error",
    isToldWhy: true,
    mayNot: "Broker: Topic authorization failed",
  },
  {
    name: "librdkafka",
    client: () => tools.librdkafka,
    mechanisms: SASL_MECHANISMS,
    refused: "SASL authentication error",
    isToldWhy: true,
    mayNot: "Broker: Topic authorization failed",
  },
  {
    name: "kafka-python",
    client: () => kafkaPython,
    mechanisms: SASL_MECHANISMS,
    refused: "NoBrokersAvailable",
    isToldWhy: false,
    mayNot: "TopicAuthorizationFailedError",
  },
  {
    name: "the Java client",
    client: () => tools.java,
    mechanisms: SASL_MECHANISMS,
    refused: "SaslAuthenticationException",
    isToldWhy: true,
    mayNot: "TopicAuthorizationException",
  },
  {
    name: "franz-go",
    client: () => tools.franz,
    mechanisms: SASL_MECHANISMS,
    refused: "SASL_AUTHENTICATION_FAILED",
    isToldWhy: true,
    mayNot: "TOPIC_AUTHORIZATION_FAILED",
  },
];

const GRANTS = [
  { topics: { prefix: "written-" }, operations: ["READ", "WRITE"] },
  { topics: { prefix: "read-" }, operations: ["READ"] },
  { groups: { prefix: "logins-" }, operations: ["READ"] },
];

let ways: Ways;
let tools: Toolbox;
let user: string;
let password: string;
let token: string;
beforeAll(async () => {
  tools = await Toolbox.start();
  ways = await Ways.start({ RIVULET_ROOT_KEY: ROOT_KEY, RIVULET_ROOT_KEY_NEXT: NEXT_ROOT_KEY });
  const made = await post<{ id: string; key: string }>("/v1/keys", {
    principal: "user",
    grants: GRANTS,
  });
  user = made.id;
  password = made.key.slice(`rvk_${user}_`.length, -6);
  ({ token } = await post<{ token: string }>("/v1/tokens", { subject: "user", grants: GRANTS }));
});
afterAll(() => Promise.all([ways.stop(), tools.stop()]));

async function post<T>(path: string, body: object): Promise<T> {
  const headers = { authorization: `Bearer ${ROOT_KEY}` };
  const init = { method: "POST", headers, body: JSON.stringify(body) };
  const response = await fetch(`${ways.url}${path}`, init);
  if (!response.ok) throw new Error(await response.text());
  return (await response.json()) as T;
}

let names = 0;
async function newTopic(prefix: "written" | "read"): Promise<string> {
  const name = `${prefix}-${++names}`;
  await post("/v1/topics", { name });
  return name;
}

const right = (mechanism: SaslMechanism): Login =>
  mechanism === "OAUTHBEARER" ? { mechanism, token } : { mechanism, user, password };

/** One that looks like the right one. */
function wrong(mechanism: SaslMechanism): Login {
  const other = (secret: string) => `${secret[0] === "A" ? "B" : "A"}${secret.slice(1)}`;
  if (mechanism !== "OAUTHBEARER") return { mechanism, user, password: other(password) };
  const [header, claims, signature = ""] = token.split(".");
  return { mechanism, token: [header, claims, other(signature)].join(".") };
}

const why = (mechanism: SaslMechanism) =>
  mechanism === "OAUTHBEARER" ? "the token is not valid" : "the user name or the password is wrong";

/** The client's error, with all its causes. */
function failureOf(sending: Promise<void>): Promise<string> {
  return sending.then(
    () => "nothing",
    (error: unknown) => inspect(error, { depth: null }),
  );
}

describe.each<Way>(["TCP", "a bridge with three nodes"])("over %s", (way) => {
  describe.each(CLIENTS)("$name", ({ client, mechanisms, refused, isToldWhy, mayNot }) => {
    test.each(mechanisms)(
      "[SASL-1] [SASL-6] authenticates by %s, writes and reads",
      async (mechanism) => {
        const topic = await newTopic("written");
        const brokers = ways.brokers(way);
        await client().send(brokers, right(mechanism), topic, "a value");
        expect(await client().read(brokers, right(mechanism), topic)).toBe("a value");
      },
    );

    test.each(mechanisms)("[SASL-1] refused by %s, it says so, and why", async (mechanism) => {
      const topic = await newTopic("written");
      const before = ways.log(way).length;
      const sending = client().send(ways.brokers(way), wrong(mechanism), topic, "a value");
      const failure = await failureOf(sending);
      expect(failure).toContain(refused);
      if (isToldWhy) expect(failure).toContain(why(mechanism));
      else
        await until("the log says why", () =>
          ways
            .log(way)
            .slice(before)
            .includes(`SASL_AUTHENTICATION_FAILED: ${why(mechanism)}`),
        );
    });

    test("[KFK-31] with a missing right it names the error", async () => {
      const topic = await newTopic("read");
      const sending = client().send(ways.brokers(way), right("SCRAM-SHA-512"), topic, "a value");
      expect(await failureOf(sending)).toContain(mayNot);
    });
  });

  test("[SASL-4] kcat is refused with an unsigned token", async () => {
    const topic = await newTopic("written");
    const sending = kcat.send(ways.brokers(way), right("OAUTHBEARER"), topic, "a value");
    expect(await failureOf(sending)).toContain("the token is not valid");
  });

  test.each(["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] as const)(
    "[MODE-2] [SASL-3] root authenticates by %s with either of its keys",
    async (mechanism) => {
      const topic = await newTopic("written");
      for (const rootKey of [ROOT_KEY, NEXT_ROOT_KEY]) {
        const login = { mechanism, user: "root", password: rootKey };
        await kcat.send(ways.brokers(way), login, topic, "a value");
        expect(await kcat.read(ways.brokers(way), login, topic)).toBe("a value");
      }
    },
  );
});
