// Runs the Worker beside a broker, both as they are deployed, on this machine.
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestHarness } from "wrangler";

const server = createTestHarness({
  workers: [{ configPath: "wrangler.toml" }, { configPath: "broker/wrangler.toml" }],
});

const START_MS = 60_000;

beforeAll(async () => {
  await server.listen();
  for (const name of ["orders", "orders.failed", "invoices"])
    await send("POST", "/v1/topics", { name });
}, START_MS);
afterAll(() => server.close(), START_MS);

async function send(method: string, path: string, body?: unknown) {
  const response = await server.fetch(path, {
    method,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, text: await response.text() };
}

interface Stored {
  readonly key: string | null;
  readonly value: string;
  readonly headers?: Readonly<Record<string, string>>;
}

async function recordsOf(topic: string): Promise<Stored[]> {
  const { text } = await send("GET", `/v1/topics/${topic}/partitions/0/records?offset=0`);
  return (JSON.parse(text) as { records: Stored[] }).records;
}

const invoices = async () =>
  (await recordsOf("invoices")).map(({ key, value }) => [key, JSON.parse(value)]);
const failed = async () =>
  (await recordsOf("orders.failed")).map(({ key, value, headers }) => [key, value, headers]);
/** The bad record of these tests, as a group sets it aside. */
const bad = (group: string) => [
  "c-9",
  "twelve",
  { reason: expect.stringContaining("not JSON"), group, source: "orders/0/1" },
];

test("an order is stored, and a body that is not an order is rejected", async () => {
  expect(await send("POST", "/orders", { customer: "c-7", total: 12 })).toEqual({
    status: 201,
    text: "stored in partition 0 at offset 0\n",
  });
  expect(await send("POST", "/orders", { total: 12 })).toMatchObject({ status: 400 });
});

test("a program that does not check its records stores one that is not an order", async () => {
  const records = [{ key: "c-9", value: "twelve" }];
  expect(await send("POST", "/v1/topics/orders/records", { records })).toMatchObject({
    status: 200,
  });
  await send("POST", "/orders", { customer: "c-8", total: 30 });
});

test("the cron trigger writes an invoice for each order, once, and sets the bad record aside", async () => {
  const written = [
    ["c-7", { due: 12 }],
    ["c-8", { due: 30 }],
  ];
  await server.getWorker().scheduled({ cron: "* * * * *" });
  expect(await invoices()).toEqual(written);
  await server.getWorker().scheduled({ cron: "* * * * *" });
  expect(await invoices()).toEqual(written);
  expect(await failed()).toEqual([bad("invoices")]);
});

test("the Durable Object adds up the orders, and sets the bad record aside", async () => {
  await send("PUT", "/consumer");
  const totals = async () => JSON.parse((await send("GET", "/totals")).text);
  await expect.poll(totals, { timeout: 20_000 }).toEqual({ "c-7": 12, "c-8": 30 });
  await send("POST", "/orders", { customer: "c-7", total: 5 });
  await expect.poll(totals, { timeout: 20_000 }).toEqual({ "c-7": 17, "c-8": 30 });
  expect(await failed()).toEqual([bad("invoices"), bad("totals")]);
  expect(await send("DELETE", "/consumer")).toMatchObject({ text: "stopped\n" });
}, 60_000);
