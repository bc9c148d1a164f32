// The clients that authenticate by SASL: how each is configured, and how it then writes and reads one record.
import { spawn } from "node:child_process";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { Consumer, Producer } from "@platformatic/kafka";
import { Kafka, logLevel, type SASLOptions } from "kafkajs";
import type { SaslMechanism } from "../../src/core/access/sasl.ts";
import type { Sent } from "./client.ts";
import { fromWire, toWire, type WireRecord } from "./driven.ts";
import { Driver } from "./drivers.ts";
import { KafkaPython } from "./kafka-python.ts";
import { consume, produce } from "./kcat.ts";
import { JAVA, javaArgs } from "./toolchains.ts";

const LIBRDKAFKA = fileURLToPath(new URL("./librdkafka.ts", import.meta.url));

export type Login =
  | {
      readonly mechanism: Exclude<SaslMechanism, "OAUTHBEARER">;
      readonly user: string;
      readonly password: string;
    }
  | { readonly mechanism: "OAUTHBEARER"; readonly token: string };

export interface LoggingIn {
  /** Resolves when it is acknowledged. @throws with the client's error */
  send(brokers: string, login: Login, topic: string, value: string): Promise<void>;
  /** The value of the first record. */
  read(brokers: string, login: Login, topic: string): Promise<string>;
}

let groups = 0;
const newGroup = () => `logins-${++groups}`;

const record = (value: string): Sent => ({
  partition: 0,
  key: null,
  value: Buffer.from(value),
  headers: [],
  timestamp: Date.now(),
});

function kafkaJsOf(brokers: string, login: Login): Kafka {
  const sasl = (
    login.mechanism === "OAUTHBEARER"
      ? { mechanism: "oauthbearer", oauthBearerProvider: async () => ({ value: login.token }) }
      : {
          mechanism: login.mechanism.toLowerCase(),
          username: login.user,
          password: login.password,
        }
  ) as SASLOptions;
  return new Kafka({
    brokers: brokers.split(","),
    sasl,
    logLevel: logLevel.NOTHING,
    retry: { retries: 0 },
    connectionTimeout: 60_000,
  });
}

export const kafkaJs: LoggingIn = {
  send: async (brokers, login, topic, value) => {
    const producer = kafkaJsOf(brokers, login).producer();
    try {
      await producer.connect();
      await producer.send({ topic, messages: [{ value }] });
    } finally {
      await producer.disconnect();
    }
  },
  read: async (brokers, login, topic) => {
    const consumer = kafkaJsOf(brokers, login).consumer({
      groupId: newGroup(),
      maxWaitTimeInMs: 200,
    });
    await consumer.connect();
    await consumer.subscribe({ topic, fromBeginning: true });
    const { promise, resolve } = Promise.withResolvers<string>();
    await consumer.run({ eachMessage: async ({ message }) => resolve(String(message.value)) });
    const value = await promise;
    await consumer.disconnect();
    return value;
  },
};

const platformaticOf = (brokers: string, login: Login) => ({
  clientId: "platformatic",
  bootstrapBrokers: brokers.split(","),
  retries: 0,
  sasl:
    login.mechanism === "OAUTHBEARER"
      ? login
      : { mechanism: login.mechanism, username: login.user, password: login.password },
});

export const platformatic: LoggingIn = {
  send: async (brokers, login, topic, value) => {
    const producer = new Producer(platformaticOf(brokers, login));
    try {
      await producer.send({ messages: [{ topic, value: Buffer.from(value) }] });
    } finally {
      await producer.close();
    }
  },
  read: async (brokers, login, topic) => {
    const consumer = new Consumer({ ...platformaticOf(brokers, login), groupId: newGroup() });
    const stream = await consumer.consume({ topics: [topic], mode: "earliest", maxWaitTime: 200 });
    for await (const { value } of stream) {
      await consumer.close(true);
      return String(value);
    }
    throw new Error("there was no record");
  },
};

/** `tokenUrl` is the endpoint that gives it its token. */
function librdkafkaSettings(login: Login, tokenUrl: string): Record<string, string> {
  const common = { "security.protocol": "SASL_PLAINTEXT", "sasl.mechanisms": login.mechanism };
  return login.mechanism === "OAUTHBEARER"
    ? {
        ...common,
        "sasl.oauthbearer.method": "oidc",
        "sasl.oauthbearer.token.endpoint.url": tokenUrl,
        "sasl.oauthbearer.client.id": "rivulet",
        "sasl.oauthbearer.client.secret": login.token,
      }
    : { ...common, "sasl.username": login.user, "sasl.password": login.password };
}

/** Debian's is built without OIDC, so all it has for OAUTHBEARER is a token that it makes itself and nobody signs. */
export const kcat: LoggingIn = {
  send: (brokers, login, topic, value) =>
    produce(brokers, topic, [record(value)], kcatOptions(login)),
  read: async (brokers, login, topic) => {
    const read = await consume(brokers, topic, ["-o", "beginning", ...kcatOptions(login)]);
    return String(read[0]?.value);
  },
};

function kcatOptions(login: Login): string[] {
  const settings =
    login.mechanism === "OAUTHBEARER"
      ? {
          "security.protocol": "SASL_PLAINTEXT",
          "sasl.mechanisms": login.mechanism,
          "enable.sasl.oauthbearer.unsecure.jwt": "true",
          "sasl.oauthbearer.config": "principal=root",
        }
      : librdkafkaSettings(login, "");
  return Object.entries(settings).flatMap(([name, value]) => ["-X", `${name}=${value}`]);
}

export const kafkaPython: LoggingIn = {
  send: (brokers, login, topic, value) =>
    withPython(brokers, login, async (one) => {
      await one.ask("send", { topic, records: [toWire(record(value))], codec: "none" });
    }),
  read: (brokers, login, topic) =>
    withPython(brokers, login, async (one) => {
      await one.ask("open");
      await one.ask("assign", { topic, partitions: [0] });
      const [first] = await one.readRecords(1);
      return String(first?.value);
    }),
};

async function withPython<T>(
  brokers: string,
  login: Login,
  use: (one: KafkaPython) => Promise<T>,
): Promise<T> {
  const one = new KafkaPython(brokers, {
    security_protocol: "SASL_PLAINTEXT",
    sasl_mechanism: login.mechanism,
    ...(login.mechanism === "OAUTHBEARER"
      ? { sasl_oauth_token_provider: login.token }
      : { sasl_plain_username: login.user, sasl_plain_password: login.password }),
  });
  try {
    return await use(one);
  } finally {
    await one.close();
  }
}

/** A driver in Java or Go. `argsOf` says how it authenticates. */
function driven(driver: Driver, argsOf: (login: Login) => object): LoggingIn {
  return {
    send: async (brokers, login, topic, value) => {
      const records = [toWire(record(value))];
      await driver.ask("send", { brokers, topic, codec: "none", records, ...argsOf(login) });
    },
    read: async (brokers, login, topic) => {
      const args = { brokers, topic, count: 1, ...argsOf(login) };
      const read = await driver.ask<WireRecord[]>("read_all", args);
      return String(read.map(fromWire)[0]?.value);
    },
  };
}

const SECURITY = "org.apache.kafka.common.security";

function javaSettings(login: Login, tokenUrl: string): Record<string, string> {
  const common = { "security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": login.mechanism };
  if (login.mechanism === "OAUTHBEARER")
    return {
      ...common,
      "sasl.login.callback.handler.class": `${SECURITY}.oauthbearer.OAuthBearerLoginCallbackHandler`,
      "sasl.oauthbearer.token.endpoint.url": tokenUrl,
      "sasl.jaas.config": `${SECURITY}.oauthbearer.OAuthBearerLoginModule required clientId="rivulet" clientSecret="${login.token}";`,
    };
  const module = login.mechanism === "PLAIN" ? "plain.PlainLoginModule" : "scram.ScramLoginModule";
  return {
    ...common,
    "sasl.jaas.config": `${SECURITY}.${module} required username="${login.user}" password="${login.password}";`,
  };
}

/** The processes that run as long as the clients are used: drivers, and an OAuth endpoint. */
export class Toolbox {
  readonly #drivers: readonly Driver[];
  readonly #endpoint: TokenEndpoint;
  readonly java: LoggingIn;
  readonly franz: LoggingIn;
  readonly librdkafka: LoggingIn;

  private constructor(endpoint: TokenEndpoint) {
    // The Java client gets tokens only from allowed places.
    const allowed = `-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=${endpoint.url}`;
    const java = new Driver("the Java client", JAVA, [allowed, ...javaArgs("newest"), "Driver"]);
    const franz = Driver.franz();
    this.#drivers = [java, franz];
    this.#endpoint = endpoint;
    this.java = driven(java, (login) => ({ settings: javaSettings(login, endpoint.url) }));
    this.franz = driven(franz, (login) => ({ login }));
    this.librdkafka = librdkafkaWith(endpoint.url);
  }

  static async start(): Promise<Toolbox> {
    return new Toolbox(await startTokenEndpoint());
  }

  async stop(): Promise<void> {
    await Promise.all(this.#drivers.map((each) => each.end()));
    await this.#endpoint.stop();
  }
}

/** The one in kafka-crab-js: newer than kcat's, and with OIDC. */
function librdkafkaWith(tokenUrl: string): LoggingIn {
  const run = (login: Login, args: object) =>
    runLibrdkafka({ ...args, settings: librdkafkaSettings(login, tokenUrl), groupId: newGroup() });
  return {
    send: async (brokers, login, topic, value) => {
      await run(login, { brokers, topic, value });
    },
    read: (brokers, login, topic) => run(login, { brokers, topic }),
  };
}

/** The program's output. @throws with it, if it failed or was refused */
function runLibrdkafka(args: object): Promise<string> {
  const child = spawn(process.execPath, [LIBRDKAFKA, JSON.stringify(args)]);
  let printed = "";
  const hear = (data: Buffer) => {
    printed += data;
    // It would retry forever.
    if (printed.includes("Authentication failure")) child.kill();
  };
  child.stdout.on("data", hear);
  child.stderr.on("data", hear);
  return new Promise((resolve, reject) =>
    child.once("close", (code) =>
      code === 0 ? resolve(printed.trim()) : reject(new Error(printed)),
    ),
  );
}

interface TokenEndpoint {
  readonly url: string;
  stop(): Promise<void>;
}

/** An OAuth endpoint that gives each client the token that it shows as its secret. */
async function startTokenEndpoint(): Promise<TokenEndpoint> {
  const server = createServer(({ headers }, response) => {
    const basic = Buffer.from(headers.authorization?.replace(/^Basic /, "") ?? "", "base64");
    const token = basic.toString().replace(/^[^:]*:/, "");
    response.setHeader("content-type", "application/json");
    response.end(
      JSON.stringify({ access_token: token, token_type: "Bearer", expires_in: 600, scope: "" }),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/token`,
    stop: () => new Promise((resolve) => server.close(() => resolve())),
  };
}
