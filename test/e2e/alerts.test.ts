// An alert on its way to a real webhook, from a broker that is killed meanwhile.
import { createHmac } from "node:crypto";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { until } from "../support/until.ts";
import { BrokerProcess } from "./broker.ts";

interface Sent {
  readonly id: string;
  readonly isSigned: boolean;
  readonly type: string;
  readonly text: string;
}

const TOPIC = "orders";
const GROUP = "billing";
let broker: BrokerProcess;
let receiver: Server;
let secret = "";
let status = 500;
const sent: Sent[] = [];

beforeAll(async () => {
  receiver = createServer(async (request, response) => {
    let body = "";
    for await (const piece of request) body += piece;
    const {
      "webhook-id": id,
      "webhook-timestamp": at,
      "webhook-signature": told,
    } = request.headers;
    const key = Buffer.from(secret.replace("whsec_", ""), "base64");
    const signature = createHmac("sha256", key).update(`${id}.${at}.${body}`).digest("base64");
    const { type, text } = JSON.parse(body);
    sent.push({ id: String(id), isSigned: told === `v1,${signature}`, type, text });
    response.writeHead(status).end();
  }).listen(0, "127.0.0.1");
  await new Promise((resolve) => receiver.once("listening", resolve));
  broker = await BrokerProcess.start();
});
afterAll(async () => {
  receiver?.close();
  await broker?.stop();
});

test("[ALR-3] [ALR-4] an alert reaches its webhook with one id, even if the broker was killed, and is resolved once", async () => {
  const { url, port, dataDir } = broker;
  await post("/v1/topics", { name: TOPIC, partitions: 1 });
  await post(`/v1/topics/${TOPIC}/records`, { records: [{ value: "a" }, { value: "b" }] });
  const behind = { offsets: [{ topic: TOPIC, partition: 0, offset: 1 }] };
  await post(`/v1/groups/${GROUP}`, { config: { "group.max.size": 9 } }, "PATCH"); // There is one now.
  await post(`/v1/groups/${GROUP}/offsets`, behind);
  const { port: at } = receiver.address() as AddressInfo;
  const rule = { type: "group-lag", threshold: 1, webhook: `http://127.0.0.1:${at}/hook` };
  const set = await fetch(`${url}/v1/alerts/late`, { method: "PUT", body: JSON.stringify(rule) });
  ({ secret } = (await set.json()) as { secret: string });
  await until("the webhook refuses the alert", () => sent.length > 0, 30_000);
  await broker.kill();
  status = 200;
  const refused = sent.length;
  broker = await BrokerProcess.start({ port, dataDir });
  await until("the webhook takes the alert", () => sent.length > refused, 40_000);
  await post(`/v1/groups/${GROUP}/offsets`, {
    offsets: [{ topic: TOPIC, partition: 0, offset: 2 }],
  });
  await until("it is resolved", () => sent.at(-1)?.type === "alert.resolved", 40_000);
  const firing = sent.filter(({ type }) => type === "alert.firing");
  expect(new Set(firing.map(({ id }) => id)).size).toBe(1);
  expect(firing[0]?.text).toMatch(/^group billing is \d+ s behind$/);
  expect(sent.filter(({ type }) => type === "alert.resolved")).toHaveLength(1);
  expect(sent.every(({ isSigned }) => isSigned)).toBe(true);

  async function post(path: string, body: object, method = "POST"): Promise<void> {
    const answer = await fetch(`${url}${path}`, { method, body: JSON.stringify(body) });
    expect(answer.ok, await answer.text()).toBe(true);
  }
}, 120_000);
