// Runs the Worker beside a broker, both as they are deployed, on this machine.
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestHarness } from "wrangler";

const server = createTestHarness({
  workers: [{ configPath: "wrangler.toml" }, { configPath: "broker/wrangler.toml" }],
});

const START_MS = 60_000;

beforeAll(async () => {
  await server.listen();
  for (const name of ["orders", "invoices"]) await send("POST", "/v1/topics", { name });
}, START_MS);
afterAll(() => server.close(), START_MS);

async function send(method: string, path: string, body?: unknown) {
  const response = await server.fetch(path, {
    method,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, text: await response.text() };
}

async function invoices(): Promise<unknown[]> {
  const { text } = await send("GET", "/v1/topics/invoices/partitions/0/records?offset=0");
  const { records } = JSON.parse(text) as { records: { key: string; value: string }[] };
  return records.map(({ key, value }) => [key, JSON.parse(value)]);
}

test("an order is stored, and a body that is not an order is rejected", async () => {
  expect(await send("POST", "/orders", { customer: "c-7", total: 12 })).toEqual({
    status: 201,
    text: "stored in partition 0 at offset 0\n",
  });
  expect(await send("POST", "/orders", { customer: "c-8", total: 30 })).toMatchObject({
    status: 201,
  });
  expect(await send("POST", "/orders", { total: 12 })).toMatchObject({ status: 400 });
});

test("the cron trigger writes an invoice for each order, once", async () => {
  const written = [
    ["c-7", { due: 12 }],
    ["c-8", { due: 30 }],
  ];
  await server.getWorker().scheduled({ cron: "* * * * *" });
  expect(await invoices()).toEqual(written);
  await server.getWorker().scheduled({ cron: "* * * * *" });
  expect(await invoices()).toEqual(written);
});

test("the Durable Object adds up the orders", async () => {
  await send("PUT", "/consumer");
  const totals = async () => JSON.parse((await send("GET", "/totals")).text);
  await expect.poll(totals, { timeout: 20_000 }).toEqual({ "c-7": 12, "c-8": 30 });
  await send("POST", "/orders", { customer: "c-7", total: 5 });
  await expect.poll(totals, { timeout: 20_000 }).toEqual({ "c-7": 17, "c-8": 30 });
  expect(await send("DELETE", "/consumer")).toMatchObject({ text: "stopped\n" });
}, 60_000);
