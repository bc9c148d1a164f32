// A closed broker with data, and its console in a browser that reaches nothing else.
import { mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { type Consumer, type GroupInfo, Rivulet } from "../../src/sdk/index.ts";
import { BrokerProcess } from "../e2e/broker.ts";
import { until } from "../support/until.ts";

export const ROOT_KEY = "the-root-key-of-this-test";

/** Texts that would run, or break out of their place, if they became anything but text. */
export const ATTACKS = [
  `<img src=x onerror="alert(1)">`,
  "<script>alert(2)</script>",
  `"><svg onload=alert(3)>`,
  "javascript:alert(4)",
  "{{constructor.constructor('alert(5)')()}}",
  "</pre></td></table><iframe srcdoc='<script>alert(6)</script>'>",
  "\u202egnirts desrever\u202c",
  "' onmouseover='alert(7)' autofocus onfocus='alert(8)",
] as const;

/** A number that no double holds. */
export const LARGE = "9007199254740993";

interface AlertsAnswer {
  readonly alerts: readonly { readonly firing: readonly object[] }[];
}

export class ConsoleWorld {
  readonly broker: BrokerProcess;
  readonly rivulet: Rivulet;
  readonly #consumers: Consumer[] = [];
  /** Handlers that hold on to their partitions until the end. */
  readonly #letGo: (() => void)[] = [];

  private constructor(broker: BrokerProcess) {
    this.broker = broker;
    this.rivulet = new Rivulet({ url: broker.url, token: ROOT_KEY });
  }

  static async start(): Promise<ConsoleWorld> {
    const broker = await BrokerProcess.start({ env: { RIVULET_ROOT_KEY: ROOT_KEY } });
    return new ConsoleWorld(broker);
  }

  async stop(): Promise<void> {
    for (const letGo of this.#letGo) letGo();
    await Promise.allSettled(this.#consumers.map((consumer) => consumer.close()));
    await this.broker.stop();
  }

  /** Fills it: topics with records of all kinds, groups in several states, and keys. */
  async fill(): Promise<void> {
    const { admin, producer } = this.rivulet;
    await admin.createTopic({ name: "orders", partitions: 6 });
    await admin.createTopic({ name: "payments", partitions: 2 });
    await admin.createTopic({ name: "nothing-yet" });
    const timestamp = Date.now() - 3_600_000;
    await producer.send(
      "orders",
      Array.from({ length: 240 }, (_, i) => ({
        key: `customer-${i % 40}`,
        value: `{"id":${LARGE},"number":${i},"total":12.50,"items":["a","b"],"paid":${i % 2 === 0}}`,
        headers: { trace: `t-${i}`, source: "shop" },
        timestamp: timestamp + i * 1_000,
      })),
    );
    await producer.send("payments", [
      { key: null, value: new Uint8Array([0, 255, 254, 65, 66]), partition: 0 },
      { key: "long", value: JSON.stringify({ text: "x".repeat(200_000) }), partition: 0 },
      ...ATTACKS.map((attack) => ({
        key: attack,
        value: JSON.stringify({ [attack]: attack }),
        headers: { [attack]: attack },
        partition: 0,
      })),
    ]);
    await this.#commitInBilling();
    await this.#holdOn();
    for (const groupId of ["idle", ATTACKS[0], ATTACKS[6]])
      await admin.alterGroup(groupId, { config: { "group.max.size": 9 } });
    await admin.createKey({ principal: "User:billing", role: "consume" });
    await admin.createKey({
      principal: "User:shop",
      grants: [{ topics: { prefix: "orders" }, operations: ["READ", "WRITE"] }],
    });
    await admin.createTopic({ name: "gone" });
    await admin.alterTopic("gone", { config: { "topic.delete.delay.ms": 86_400_000 } });
    await admin.deleteTopic("gone");
    await admin.alterTopic("payments", { config: { "budget.usd.per.day": 0.5 } });
    const webhook = "http://127.0.0.1:9/nobody-listens";
    await this.#setAlert("billing-late", {
      type: "group-lag",
      match: "billing",
      threshold: 1,
      webhook,
    });
    await this.#setAlert("nobody", { type: "group-empty", match: "ship*", forSeconds: 300 });
    await this.#setAlert("money", { type: "budget", threshold: 90 });
    await until("the alert fires", async () => {
      const { alerts } = await this.#ask<AlertsAnswer>("GET", "/v1/alerts");
      return alerts.some(({ firing }) => firing.length > 0);
    });
  }

  async #setAlert(name: string, rule: object): Promise<void> {
    await this.#ask("PUT", `/v1/alerts/${name}`, rule);
  }

  async #ask<T>(method: string, path: string, body?: object): Promise<T> {
    const answer = await fetch(`${this.broker.url}${path}`, {
      ...{ method, headers: { authorization: `Bearer ${ROOT_KEY}` } },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return (await answer.json()) as T;
  }

  /** A group without members, which lags. */
  async #commitInBilling(): Promise<void> {
    const reader = this.rivulet.consumer({
      groupId: "billing",
      topics: ["orders"],
      from: "earliest",
      clientId: "billing-worker",
    });
    let seen = 0;
    const run = reader.run({ eachRecord: () => void seen++ });
    await until("it has read some", () => seen >= 120);
    await reader.close();
    await run;
    await this.rivulet.admin.resetGroup("billing", {
      offsets: [{ topic: "orders", partition: 1, offset: 3 }],
    });
  }

  /** A group in which one member keeps what another is to get, and one idles. */
  async #holdOn(): Promise<void> {
    const held = new Promise<void>((resolve) => this.#letGo.push(resolve));
    const first = this.#join("shipping", "ship-1", ["payments", "orders"], async () => await held);
    await until("it has all", async () => {
      const { members } = await this.#group("shipping");
      return members[0]?.assignment.flatMap(({ partitions }) => partitions).length === 8;
    });
    await until("it is busy", () => first.seen > 0);
    this.#join("shipping", "ship-2", ["payments", "orders"], async () => {});
    this.#join("shipping", ATTACKS[0], ["nothing-yet"], async () => {});
    await until("they wait", async () => {
      const { members, state } = await this.#group("shipping");
      return members.length === 3 && state === "RECONCILING";
    });
  }

  /** Returns the state of a group. One that nobody has joined yet has no members. */
  async #group(groupId: string): Promise<Pick<GroupInfo, "members" | "state">> {
    return await this.rivulet.admin
      .describeGroup(groupId)
      .catch(() => ({ members: [], state: "EMPTY" as const }));
  }

  #join(groupId: string, clientId: string, topics: string[], handle: () => Promise<void>) {
    const joined = { seen: 0 };
    const consumer = this.rivulet.consumer({ groupId, topics, from: "earliest", clientId });
    this.#consumers.push(consumer);
    const eachRecord = async () => {
      joined.seen++;
      await handle();
    };
    consumer.run({ eachRecord }).catch(() => {}); // The broker stops first.
    return joined;
  }
}

/** The folder for pictures of the pages: RIVULET_SCREENSHOTS, or a temporary folder. */
export const SCREENSHOTS = process.env.RIVULET_SCREENSHOTS ?? join(tmpdir(), "rivulet-console");
mkdirSync(SCREENSHOTS, { recursive: true });

export interface Look {
  readonly theme?: "light" | "dark";
  readonly width?: number;
  readonly motion?: "reduce" | "no-preference";
}

/** A browser window whose pages are watched. */
export interface Window {
  readonly context: BrowserContext;
  readonly page: Page;
  /** Errors, violations of the policy, dialogs, and requests to other hosts. There must be none. */
  readonly faults: string[];
}

export async function openWindow(
  browser: Browser,
  url: string,
  { theme = "light", width = 1280, motion = "reduce" }: Look = {},
): Promise<Window> {
  const context = await browser.newContext({
    colorScheme: theme,
    viewport: { width, height: 900 },
    reducedMotion: motion,
  });
  const faults: string[] = [];
  await context.route("**/*", async (route) => {
    if (route.request().url().startsWith(`${url}/`)) return await route.fallback();
    faults.push(`asked ${route.request().url()}`);
    await route.abort();
  });
  const page = await context.newPage();
  page.setDefaultTimeout(10_000);
  page.on("dialog", (dialog) => {
    faults.push(`dialog ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on("pageerror", (error) => faults.push(error.message));
  page.on("console", (message) => {
    const text = message.text();
    // Error responses of the broker are reported there too.
    if (message.type() === "error" && !text.startsWith("Failed to load resource"))
      faults.push(text);
  });
  await page.addInitScript({
    content: `addEventListener("securitypolicyviolation", (event) => {
      console.error("policy: " + event.violatedDirective + " " + event.blockedURI);
    });`,
  });
  return { context, page, faults };
}

/** Signs in as a person does. The tab keeps the key, so that pages can be loaded again. */
export async function signIn(page: Page, url: string, key = ROOT_KEY): Promise<void> {
  await page.goto(`${url}/console`);
  await page.getByLabel("API key or token").fill(key);
  await page.getByLabel("Keep it in this tab").check();
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { name: "Overview" }).waitFor();
}
