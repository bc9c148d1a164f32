// Alerts and budgets in the real runtime: rules over HTTP, messages to webhooks, and the refusals of a budget.

import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { MetricsObject } from "../../durable-objects/metrics/metrics-object.ts";
import { budgets } from "../../src/budgets.ts";
import type { Quota } from "../../src/core/access/quota.ts";
import { ALERT_RETRY_MS, MAX_WEBHOOK_URL_CHARS } from "../../src/core/limits.ts";
import { type Env, metricsStub, partitionStub } from "../../src/env.ts";
import { alterKey, createKey } from "../../src/worker/access/keys.ts";
import { forgetEverything, isolate } from "../../src/worker/edge/isolate.ts";
import { app } from "../../src/worker/http/app.ts";
import { groupSnapshot, partitionSnapshot, position } from "../support/metrics-snapshots.ts";
import {
  call,
  closeSockets,
  createTopic,
  env,
  eventually,
  evict,
  expectStatus,
  ORIGIN,
  TWINS,
  unique,
} from "./support.ts";

const ROOT_KEY = "the-root-key-of-this-test";
const { caller: _caller, ...open } = env;
const closed: Env = { ...open, RIVULET_OPEN: "", RIVULET_ROOT_KEY: ROOT_KEY };
const context = { waitUntil: () => {}, passThroughOnException: () => {}, props: {} };

/** Sends a request to a closed broker with a key. */
async function ask(key: string, method: string, path: string, body?: object): Promise<Response> {
  const request = new Request(`${ORIGIN}${path}`, {
    ...{ method, headers: { authorization: `Bearer ${key}` } },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return await app.fetch(request, closed, context as never);
}

const HOOK = "https://hooks.example.com/secret-path";
const LAG = { type: "group-lag", threshold: 60, webhook: HOOK };

interface Sent {
  readonly headers: Headers;
  readonly body: string;
}
/** The messages sent to webhooks, and the webhooks' responses. */
let sent: Sent[] = [];
let answer = 200;

beforeEach(async () => {
  sent = [];
  answer = 200;
  const metrics = metricsStub(env);
  await runInDurableObject(metrics, (_, { storage }) => storage.deleteAll());
  await evict(metrics);
  vi.spyOn(globalThis, "fetch").mockImplementation(async (url, init) => {
    expect(String(url)).toBe(HOOK);
    sent.push({ headers: new Headers(init?.headers), body: String(init?.body) });
    return new Response("thanks", { status: answer });
  });
});
afterEach(() => {
  budgets.learn([], 0);
  forgetEverything();
  vi.useRealTimers();
  vi.restoreAllMocks();
  closeSockets();
});

/** Checks a signature as a receiver does. */
async function isSigned({ headers, body }: Sent, secret: string): Promise<boolean> {
  const bytesOf = (base64: string) => Uint8Array.from(atob(base64), (each) => each.charCodeAt(0));
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const bytes = bytesOf(secret.replace("whsec_", ""));
  const key = await crypto.subtle.importKey("raw", bytes, algorithm, false, ["verify"]);
  const signed = `${headers.get("webhook-id")}.${headers.get("webhook-timestamp")}.${body}`;
  const signature = bytesOf((headers.get("webhook-signature") ?? "").replace("v1,", ""));
  return await crypto.subtle.verify("HMAC", key, signature, new TextEncoder().encode(signed));
}

const typesSent = () => sent.map(({ body }) => JSON.parse(body).type);

interface Alert {
  name: string;
  webhook: string | null;
  firing: { subject: string; text: string }[];
  lastDelivery: { outcome: string; detail: string } | null;
}

async function listed(): Promise<Alert[]> {
  const { alerts } = await expectStatus<{ alerts: Alert[] }>(200, "GET", "/v1/alerts");
  return alerts;
}

const minutesAgo = (minutes: number) => Date.now() - minutes * 60_000;

/** Reports a group with a lag of 50 records, which are minutes old. */
async function fallBehind(): Promise<void> {
  vi.useFakeTimers({ now: minutesAgo(3), toFake: ["Date"] });
  await metricsStub(env).report({ snapshots: [partitionSnapshot({ logEndOffset: 50 })] });
  vi.setSystemTime(Date.now() + 60_000);
  await metricsStub(env).report({ snapshots: [partitionSnapshot({ logEndOffset: 100 })] });
  vi.useRealTimers();
  await tellPosition(50, 1);
}

async function tellPosition(offset: number, epoch: number): Promise<void> {
  const snapshot = groupSnapshot({ epoch, positions: [position(offset)] });
  await metricsStub(env).report({ snapshots: [snapshot] });
}

/** Rings the alarm of the MetricsObject, as if the interval between two checks had passed. */
async function ring(inMs = 20_000): Promise<void> {
  vi.useFakeTimers({ now: Date.now() + inMs, toFake: ["Date"] });
  await runDurableObjectAlarm(metricsStub(env));
}

describe.each(TWINS)("an alert$when", ({ interrupt }) => {
  test("[ALR-1] [ALR-2] [ALR-3] [ALR-4] is sent once when it fires and once when it is resolved, signed", async () => {
    const { secret } = await expectStatus<{ secret: string }>(200, "PUT", "/v1/alerts/late", LAG);
    await fallBehind();
    await ring();
    await eventually(async () => sent.length === 1, "the webhook is told");
    await ring();
    await interrupt(metricsStub(env));
    const [alert] = await listed();
    expect(alert).toMatchObject({
      name: "late",
      firing: [
        { subject: "billing", text: expect.stringMatching(/^group billing is \d+ s behind/) },
      ],
      lastDelivery: { outcome: "delivered", detail: "it answered 200" },
    });
    await tellPosition(100, 2);
    await ring();
    await eventually(async () => sent.length === 2, "the webhook is told again");
    await ring();
    expect(typesSent()).toEqual(["alert.firing", "alert.resolved"]);
    expect(await listed()).toMatchObject([{ firing: [] }]);
    for (const message of sent) expect(await isSigned(message, secret)).toBe(true);
    const other = await isSigned({ ...sent[0], body: "{}" } as Sent, secret);
    expect(other, "the check can fail").toBe(false);
    expect(new Set(sent.map(({ headers }) => headers.get("webhook-id"))).size).toBe(2);
  });

  test("[ALR-3] whose webhook fails is sent again with the same id", async () => {
    answer = 503;
    await expectStatus(200, "PUT", "/v1/alerts/late", LAG);
    await fallBehind();
    await ring();
    await eventually(async () => sent.length === 1, "the webhook is told");
    await eventually(
      async () => (await listed())[0]?.lastDelivery?.outcome === "failing",
      "the failure is shown",
    );
    await interrupt(metricsStub(env));
    answer = 202;
    await ring(ALERT_RETRY_MS + 1);
    await eventually(async () => sent.length === 2, "the webhook is told again");
    const ids = sent.map(({ headers }) => headers.get("webhook-id"));
    expect(ids[0]).toBe(ids[1]);
    await eventually(
      async () => (await listed())[0]?.lastDelivery?.outcome === "delivered",
      "it is taken",
    );
    await ring(10 * ALERT_RETRY_MS);
    expect(sent).toHaveLength(2);
  });
});

test("[ALR-2] a lag fires when its time has come, even without a report", async () => {
  await expectStatus(200, "PUT", "/v1/alerts/late", { ...LAG, threshold: 3_600 });
  await fallBehind();
  const alarmAt = () =>
    runInDurableObject(metricsStub(env), (_, { storage }) => storage.getAlarm());
  await ring();
  // Objects that have come to rest are asked first, and these do not exist.
  for (let i = 0; i < 10 && ((await alarmAt()) ?? 0) < Date.now() + 600_000; i++)
    await ring(Math.max(0, ((await alarmAt()) ?? 0) - Date.now()) + 1);
  const atMs = (await alarmAt()) ?? 0;
  expect(atMs).toBeGreaterThan(Date.now() + 600_000);
  expect(atMs).toBeLessThan(Date.now() + 3_600_000);
  expect(sent).toEqual([]);
  await ring(atMs - Date.now());
  await eventually(async () => sent.length === 1, "the webhook is told");
});

test("[ALR-1] a new secret is made on request, and a rule that is set again keeps its own", async () => {
  const set = (more = {}) =>
    expectStatus<{ secret?: string }>(200, "PUT", "/v1/alerts/late", { ...LAG, ...more });
  const { secret } = await set();
  expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{32}$/);
  expect((await set({ threshold: 5 })).secret).toBeUndefined();
  const other = await set({ newSecret: true });
  expect(other.secret).toMatch(/^whsec_/);
  expect(other.secret).not.toBe(secret);
  expect(JSON.stringify(await listed())).not.toContain("whsec_");
});

test("[ALR-1] [ALR-4] a webhook can be tried, and a rule removed", async () => {
  await expectStatus(200, "PUT", "/v1/alerts/late", LAG);
  await expectStatus(204, "POST", "/v1/alerts/late/test");
  await eventually(async () => sent.length === 1, "the webhook is tried");
  expect(typesSent()).toEqual(["alert.test"]);
  await expectStatus(204, "DELETE", "/v1/alerts/late");
  await expectStatus(404, "DELETE", "/v1/alerts/late");
  await expectStatus(404, "POST", "/v1/alerts/late/test");
  expect(await listed()).toEqual([]);
});

test.each([
  ["a type that does not exist", { type: "other" }, "type"],
  ["no threshold for a lag", { type: "group-lag" }, "threshold"],
  ["a threshold of 0", { type: "group-lag", threshold: 0 }, "threshold"],
  ["more than all of a partition", { type: "partition-full", threshold: 101 }, "threshold"],
  ["a threshold where there is none", { type: "group-empty", threshold: 5 }, "threshold"],
  ["a webhook that is no URL", { ...LAG, webhook: "hook" }, "webhook"],
  ["a webhook of another scheme", { ...LAG, webhook: "file:///etc/passwd" }, "webhook"],
  ["a webhook with a password", { ...LAG, webhook: "https://a:b@example.com/" }, "webhook"],
  [
    "a webhook that is too long",
    { ...LAG, webhook: `https://e.com/${"a".repeat(MAX_WEBHOOK_URL_CHARS)}` },
    "webhook",
  ],
  ["a star in the middle", { ...LAG, match: "a*b" }, "match"],
  ["a field that does not exist", { ...LAG, url: HOOK }, "url"],
])("[ALR-1] %s is rejected, and changes nothing", async (_, body, field) => {
  const refused = await call<{ code: string; detail: string }>("PUT", "/v1/alerts/late", body);
  expect(refused).toMatchObject({ status: 400, body: { code: "INVALID_REQUEST" } });
  expect(refused.body.detail).toContain(field);
  expect(await listed()).toEqual([]);
});

test.each(["a b", "..", "ü", "x".repeat(65)])(
  "[ALR-1] an alert cannot be named %j",
  async (name) => {
    const path = `/v1/alerts/${encodeURIComponent(name)}`;
    expect((await call("PUT", path, LAG)).status).toBeGreaterThanOrEqual(400);
    expect(await listed()).toEqual([]);
  },
);

test("[ALR-1] a caller that may only look is not shown the path of a webhook, and sets nothing", async () => {
  await expectStatus(200, "PUT", "/v1/alerts/late", LAG);
  const { text } = await createKey(closed, {
    ...{ principal: "User:looker", expiresAtMs: null },
    grants: [{ cluster: ["DESCRIBE"] }],
  });
  const seen = await ask(text, "GET", "/v1/alerts");
  expect(seen.status).toBe(200);
  expect(await seen.json()).toMatchObject({ alerts: [{ webhook: "https://hooks.example.com/…" }] });
  for (const [method, path] of [
    ["PUT", "/v1/alerts/late"],
    ["DELETE", "/v1/alerts/late"],
    ["POST", "/v1/alerts/late/test"],
  ] as const)
    expect((await ask(text, method, path, method === "PUT" ? LAG : undefined)).status).toBe(403);
  expect(await listed()).toMatchObject([{ webhook: HOOK }]);
});

describe.each(TWINS)("a topic's budget$when", ({ interrupt }) => {
  test("[BGT-1] [BGT-2] refuses appends and reads by request once it is used up, and stops when it is raised", async () => {
    const topic = await createTopic(1);
    const path = `/v1/topics/${topic.name}`;
    await expectStatus(200, "PATCH", path, { config: { "budget.usd.per.day": 0.000_001 } });
    const once = {
      records: { records: [{ value: "a" }] },
      key: { "idempotency-key": unique("key") },
    };
    expect((await call("POST", `${path}/records`, once.records, once.key)).status).toBe(200);
    const refused = await eventually(async () => {
      const { status, body } = await call<{ detail: string }>("POST", `${path}/records`, {
        records: [{ value: "b" }],
      });
      return status === 429 ? body : null;
    }, "the partition hears of it");
    expect(refused).toMatchObject({
      code: "THROTTLING_QUOTA_EXCEEDED",
      detail: expect.stringContaining("budget of $0.000001 a day"),
    });
    expect(refused).toMatchObject({ retriable: false, retryAfterMs: expect.any(Number) });
    await expectStatus(200, "GET", `${path}/partitions/0/records`);
    const repeated = await call("POST", `${path}/records`, once.records, once.key);
    expect(repeated.status, "what is stored is answered as before").toBe(200);
    const rows = () =>
      runInDurableObject(partitionStub(env, topic.topicId, 0), (_, { storage }) =>
        [...storage.sql.exec("SELECT name FROM sqlite_master WHERE name LIKE 'requests_%'")].map(
          ({ name }) => storage.sql.exec(`SELECT COUNT(*) AS n FROM ${name}`).one().n,
        ),
      );
    const before = await rows();
    const fresh = await call("POST", `${path}/records`, once.records, {
      "idempotency-key": unique("key"),
    });
    expect(fresh.status).toBe(429);
    expect(await rows(), "what is refused leaves nothing behind").toEqual(before);
    await interrupt(partitionStub(env, topic.topicId, 0));
    const again = await call("POST", `${path}/records`, { records: [{ value: "b" }] });
    expect(again.status, "it remembers").toBe(429);
    const { budgets: uses } = await expectStatus<{ budgets: object[] }>(200, "GET", "/v1/alerts");
    expect(uses).toMatchObject([{ kind: "topic", name: topic.name, dollarsPerDay: 0.000_001 }]);
    await expectStatus(200, "PATCH", path, { config: { "budget.usd.per.day": 1_000 } });
    await eventually(async () => {
      const { status } = await call("POST", `${path}/records`, { records: [{ value: "c" }] });
      return status === 200;
    }, "the partition hears that there is more");
    const { body } = await call<{ records: { value: string }[] }>(
      "GET",
      `${path}/partitions/0/records`,
    );
    expect(body.records.at(0)?.value, "nothing is deleted").toBe("a");
    expect(body.records.at(-1)?.value).toBe("c");
  });
});

test("[BGT-3] a principal whose budget is used up is refused, and others are not", async () => {
  const keyOf = async (name: string, quota?: Quota) => {
    const made = { principal: `User:${unique(name)}`, expiresAtMs: null, quota };
    return await createKey(closed, {
      ...made,
      grants: [{ topics: { prefix: "" }, operations: ["ALL"] }],
    });
  };
  const [poor, rich] = [await keyOf("poor", { dollarsPerDay: 0.000_01 }), await keyOf("rich")];
  const list = (key: string) => {
    isolate.requests.reportedMs = 0; // Each request reports its cost at once.
    return ask(key, "GET", "/v1/topics?limit=1");
  };
  let served = 0;
  const refused = await eventually(async () => {
    const answered = await list(poor.text);
    if (answered.status === 200) served++;
    return answered.status === 429 ? answered : null;
  }, "the isolate hears of it");
  expect(served, "22 requests cost that").toBeGreaterThanOrEqual(22);
  expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
  expect((await refused.json()) as object).toMatchObject({
    code: "THROTTLING_QUOTA_EXCEEDED",
    detail: expect.stringContaining("budget of $0.00001 a day"),
  });
  expect((await list(rich.text)).status).toBe(200);
});

test("[BGT-3] what is reported twice counts once, and a larger budget counts at once", async () => {
  const poor = await createKey(closed, {
    ...{ principal: `User:${unique("poor")}`, expiresAtMs: null, quota: { dollarsPerDay: 1 } },
    grants: [{ topics: { prefix: "" }, operations: ["ALL"] }],
  });
  const { principal } = poor.key;
  const spent = { id: "batch-1", spent: [{ principal, dollars: 0.6, dollarsPerDay: 1 }] };
  for (let i = 0; i < 3; i++) {
    const answer = await metricsStub(env).report({ snapshots: [], spent });
    expect(answer.principals).toEqual([{ principal, dollars: 0.6 }]);
    budgets.learn(answer.principals, answer.untilMs);
  }
  expect((await ask(poor.text, "GET", "/v1/topics?limit=1")).status).toBe(200);
  const answer = await metricsStub(env).report({
    snapshots: [],
    spent: { ...spent, id: "batch-2" },
  });
  budgets.learn(answer.principals, answer.untilMs);
  expect((await ask(poor.text, "GET", "/v1/topics?limit=1")).status).toBe(429);
  await alterKey(closed, poor.key.id, {
    ...{ grants: undefined, expiresAtMs: undefined },
    quota: { dollarsPerDay: 2 },
  });
  forgetEverything();
  expect((await ask(poor.text, "GET", "/v1/topics?limit=1")).status).toBe(200);
});

test("[ALR-2] what is reported soon after a check is checked as well", async () => {
  await expectStatus(200, "PUT", "/v1/alerts/nobody", { type: "group-empty", webhook: HOOK });
  await ring();
  await metricsStub(env).report({ snapshots: [groupSnapshot({ members: 0 })] });
  await ring(3_000);
  expect(sent, "it is not time yet").toEqual([]);
  const atMs = await runInDurableObject(metricsStub(env), (_, { storage }) => storage.getAlarm());
  expect(atMs, "and nothing needs to be told for it").toBeLessThanOrEqual(Date.now() + 10_000);
  await ring(10_000);
  await eventually(async () => sent.length === 1, "the webhook is told");
});

test("[BGT-4] the audit log has a line at 80 % and at the end", async () => {
  const lines: { action: string; detail: string }[] = [];
  vi.spyOn(console, "log").mockImplementation((line: string) => {
    const { audit } = JSON.parse(line);
    if (audit !== undefined) lines.push(audit);
  });
  const metrics = metricsStub(env);
  await runInDurableObject(metrics, async (object) => {
    const own = (object as unknown as { env: { RIVULET_OPEN?: string | undefined } }).env;
    const wasOpen = own.RIVULET_OPEN;
    own.RIVULET_OPEN = "";
    const tell = (dollars: number) =>
      (object as MetricsObject).report({
        snapshots: [],
        spent: {
          id: crypto.randomUUID(),
          spent: [{ principal: "User:ann", dollars, dollarsPerDay: 10 }],
        },
      });
    for (const dollars of [7, 1, 1, 1, 1]) await tell(dollars);
    own.RIVULET_OPEN = wasOpen;
  });
  expect(lines).toMatchObject([
    { action: "budgetNearlyUsedUp", detail: expect.stringContaining("80 % of its budget of $10") },
    { action: "budgetUsedUp", detail: expect.stringContaining("all of its budget of $10") },
  ]);
});
