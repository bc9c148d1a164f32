// A cron run in which a record fails, with a broker that the test plays.
import type { RivuletService } from "rivulet";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { BadRecord } from "../src/failed.ts";
import { pollUntilEmpty } from "../src/poll.ts";

const RECORDS = [
  { topic: "orders", partition: 0, offset: 7, timestamp: 0, key: "a", value: "good" },
  { topic: "orders", partition: 1, offset: 3, timestamp: 0, key: "b", valueBase64: "/w==" },
  { topic: "orders", partition: 1, offset: 4, timestamp: 0, key: "c", value: "good" },
];

const requests: { readonly ack: unknown[]; readonly maxRecords: number }[] = [];
const produced: unknown[][] = [];
const service = {
  admin: Promise.resolve({ createToken: async () => ({ token: "token" }) }),
  fetch: async (request: Request) => {
    requests.push(await request.json());
    return Response.json({ records: requests.length === 1 ? RECORDS : [] });
  },
  produce: async (...call: unknown[]) => {
    produced.push(call);
    return [{ partition: 0, offset: 0, timestamp: 0 }];
  },
} as unknown as RivuletService;

const logged = vi.fn();
beforeEach(() => {
  requests.length = 0;
  produced.length = 0;
  vi.spyOn(console, "warn").mockImplementation(() => {});
  vi.spyOn(console, "error").mockImplementation(logged);
});
afterEach(() => void vi.restoreAllMocks());

/** Runs once. The handler throws this at the record of partition 1 and offset 3. */
const run = (error: Error) =>
  pollUntilEmpty(service, {
    groupId: "invoices",
    topics: ["orders"],
    endMs: Number.POSITIVE_INFINITY,
    handle: async ({ partition, offset }) => {
      if (partition === 1 && offset === 3) throw error;
    },
  });

test("a bad record is set aside as it is, and the others are handled", async () => {
  await run(new BadRecord("no text"));
  const headers = { reason: "no text", group: "invoices", source: "orders/1/3" };
  const record = { key: "b", value: Uint8Array.of(255), headers };
  expect(produced).toEqual([
    ["orders.failed", [record], { idempotencyKey: "invoices/orders/1/3" }],
  ]);
  expect(requests.map(({ ack }) => ack)).toEqual([
    [],
    [
      { topic: "orders", partition: 0, offset: 7 },
      { topic: "orders", partition: 1, offset: 4 },
    ],
  ]);
});

test("any other error ends the run: it is logged, and the records before it are acknowledged", async () => {
  const error = new Error("the invoice service is down");
  await expect(run(error)).rejects.toBe(error);
  expect(logged).toHaveBeenCalledWith("invoices failed at orders/1/3:", error);
  expect(produced).toEqual([]);
  expect(requests.map(({ ack, maxRecords }) => ({ ack, maxRecords }))).toEqual([
    { ack: [], maxRecords: 100 },
    { ack: [{ topic: "orders", partition: 0, offset: 7 }], maxRecords: 1 },
  ]);
});
