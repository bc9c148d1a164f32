// The names of requests, and the log lines of unexpected failures.
import { exports } from "cloudflare:workers";
import { afterEach, expect, test, vi } from "vitest";
import { PartitionLog } from "../../src/core/log/partition-log.ts";
import { createTopic, ORIGIN, produce } from "./support.ts";

afterEach(() => void vi.restoreAllMocks());

async function get(path: string, headers: Record<string, string> = {}): Promise<Response> {
  return await exports.default.fetch(`${ORIGIN}${path}`, { headers });
}

test("[ERR-5] a response names its request, as the client has named it, or by its own name", async () => {
  const named = await get("/health", { "x-request-id": "order-17.retry:2" });
  expect(named.headers.get("x-request-id")).toBe("order-17.retry:2");
  const names = new Set<string | null>();
  for (const bad of ["", "a b", "ü", "x".repeat(65), "a\tb"]) {
    const answer = await get("/v1/topics?limit=1", { "x-request-id": encodeURIComponent(bad) });
    names.add(answer.headers.get("x-request-id"));
  }
  const missing = await get("/v1/topics/nobody");
  expect(missing.status).toBe(404);
  names.add(missing.headers.get("x-request-id"));
  expect(names.size).toBe(6);
  for (const name of names) expect(name).toMatch(/^[\da-f-]{36}$/);
  const headers = { "cf-ray": "8f00-FRA", "x-request-id": "mine" };
  const ray = new Request(`${ORIGIN}/health`, { headers, cf: { colo: "FRA" } });
  const onCloudflare = await exports.default.fetch(ray);
  const elsewhere = await get("/health", headers);
  expect(onCloudflare.headers.get("x-request-id"), "the platform's comes first").toBe("8f00-FRA");
  expect(elsewhere.headers.get("x-request-id"), "there is no platform").toBe("mine");
});

test("[ERR-5] unexpected errors are logged by the Worker and by the object, with the request", async () => {
  const topic = await createTopic(1);
  await produce(topic.name, [{ value: "a" }]);
  const lines: Record<string, unknown>[] = [];
  vi.spyOn(console, "error").mockImplementation((line) => void lines.push(JSON.parse(line)));
  const broken = vi.spyOn(PartitionLog.prototype, "validateOffset").mockImplementation(() => {
    throw new TypeError("nobody expected this");
  });
  const path = `/v1/topics/${topic.name}/partitions/0/records`;
  const answer = await get(path, { "x-request-id": "trace-me" });
  expect(answer.status).toBe(500);
  expect(await answer.text()).not.toContain("nobody expected this");
  expect(answer.headers.get("x-request-id")).toBe("trace-me");
  expect(lines).toContainEqual({
    ...{ level: "error", at: expect.any(String) },
    message: expect.stringMatching(/^partition .*: read failed: TypeError: nobody expected this\n/),
    ...{ requestId: "trace-me", object: "partition", method: "read" },
    name: `${topic.topicId}/0`,
  });
  expect(lines).toContainEqual({
    ...{ level: "error", at: expect.any(String) },
    message: expect.stringContaining("nobody expected this"),
    requestId: "trace-me",
  });
  broken.mockRestore();
  lines.length = 0;
  expect((await get(path)).status).toBe(200);
  expect(lines, "nothing is told of what goes well").toEqual([]);
});
