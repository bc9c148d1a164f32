// The description of the HTTP API, compared with the API and its responses.
import { exports } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { ERROR_DESCRIPTIONS } from "../../src/core/error-descriptions.ts";
import { app } from "../../src/worker/http/app.ts";
import { OPERATIONS, type Operation } from "../../src/worker/http/operations.ts";
import { problem } from "../../src/worker/http/responses.ts";
import { call, createTopic, expectStatus, produce, readAs, unique } from "./support.ts";

interface Document {
  readonly openapi: string;
  readonly paths: Record<
    string,
    Record<
      string,
      {
        operationId: string;
        parameters: {
          name: string;
          in: string;
          required: boolean;
          schema: object;
          example?: unknown;
        }[];
        requestBody?: { content: Record<string, object> };
        responses: object;
      }
    >
  >;
}

async function openapi(): Promise<Document> {
  return (await call<Document>("GET", "/openapi.json")).body;
}

test("[DOC-1] every route is described, and nothing else", () => {
  const routes = app.routes
    .filter(({ method }) => method !== "ALL")
    .map(
      ({ method, path }) =>
        `${method.toLowerCase()} ${path.replace(/:(\w+)/g, "{$1}").replace(/(.)\/$/, "$1")}`,
    );
  const described = OPERATIONS.map(({ method, path }) => `${method} ${path}`);
  expect(described.toSorted()).toEqual([...new Set(routes)].sort());
});

test("[DOC-1] parameters and bodies are those that are checked", async () => {
  const { openapi: version, paths } = await openapi();
  expect(version).toBe("3.1.0");
  const fetch = paths["/v1/topics/{topic}/partitions/{partition}/records"]?.get;
  expect(fetch?.parameters.map(({ name }) => name)).toEqual([
    "topic",
    "partition",
    "offset",
    "maxRecords",
    "maxBytes",
    "waitMs",
  ]);
  const poll = JSON.stringify(paths["/v1/groups/{group}/poll"]?.post);
  expect(poll).toContain('"maximum":30000');
  expect(poll).toContain('"required":["instanceId"]');
  expect(Object.keys(paths["/v1/groups/{group}"]?.delete?.responses ?? {}).sort()).toEqual([
    "204",
    "400",
    "401",
    "403",
    "404",
    "409",
    "429",
    "500",
    "503",
    "504",
  ]);
});

test("[DOC-2] the page shows every operation and needs nothing from elsewhere", async () => {
  const response = await exports.default.fetch("https://localhost/docs/api");
  const text = (await response.text()).replaceAll("&#39;", "'");
  expect(response.headers.get("content-type")).toMatch(/^text\/html/);
  const { paths } = await openapi();
  for (const { method, path, summary } of OPERATIONS) {
    expect(text).toContain(
      `<span class="method ${method}">${method.toUpperCase()}</span> <code>${path}</code>`,
    );
    expect(text).toContain(summary);
    expect(text).toContain(`id="${paths[path]?.[method]?.operationId}"`);
  }
  const ids = [...text.matchAll(/\sid="([^"]+)"/g)].map(([, id]) => id);
  expect(new Set(ids).size).toBe(ids.length);
  for (const [, anchor] of text.matchAll(/href="#([^"]+)"/g)) expect(ids).toContain(anchor);
  expect(text).not.toMatch(/(src|href)="(https?:)?\/\//);
});

test("[DOC-2] each operation shows its own errors with their meaning, and the common ones once", async () => {
  const text = await (await exports.default.fetch("https://localhost/docs/api")).text();
  const [, create = ""] = text.split('id="post-v1-topics"');
  const own = create.slice(0, create.indexOf("</details>"));
  expect(own).toContain(
    `<tr><td>409</td><td><code>TOPIC_ALREADY_EXISTS</code></td><td>${ERROR_DESCRIPTIONS.TOPIC_ALREADY_EXISTS}</td></tr>`,
  );
  expect(own).not.toContain("SASL_AUTHENTICATION_FAILED");
  expect(text.split("<code>SASL_AUTHENTICATION_FAILED</code>")).toHaveLength(2);
  expect(own).toContain("name: string");
  expect(own).toContain(
    `curl -H &#39;Content-Type: application/json&#39; -d &#39;{&quot;name&quot;:&quot;orders&quot;,&quot;partitions&quot;:3}&#39; http://127.0.0.1:8787/v1/topics`,
  );
});

test.each(
  OPERATIONS.filter(({ body }) => body !== undefined).map(
    (each) => [`${each.method} ${each.path}`, each] as const,
  ),
)(
  "[DOC-2] the example of %s is one that its schema takes",
  async (_, { method, path, body, example }) => {
    expect(example).toBeDefined();
    expect(body?.safeParse(example).error).toBeUndefined();
    const { paths } = await openapi();
    const { requestBody } = paths[path]?.[method] ?? {};
    expect(requestBody?.content["application/json"]).toMatchObject({ example });
  },
);

test("[DOC-2] what must be given in a path or a query has an example", async () => {
  const { paths } = await openapi();
  const wanting = Object.entries(paths).flatMap(([path, operations]) =>
    Object.values(operations).flatMap(({ parameters }) =>
      parameters
        .filter(({ required, example }) => required && example === undefined)
        .map(({ name }) => `${path} ${name}`),
    ),
  );
  expect(wanting).toEqual([]);
});

test("[WEB-4] the bare address shows a browser a page, and others where to go on", async () => {
  const browser = { headers: { accept: "text/html,application/xhtml+xml,*/*;q=0.8" } };
  const response = await exports.default.fetch("https://localhost/", browser);
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toMatch(/^text\/html/);
  const text = await response.text();
  for (const accept of ["*/*", "application/json"]) {
    const { status, contentType, body } = await call<Record<string, string>>(
      "GET",
      "/",
      undefined,
      { accept },
    );
    expect([status, contentType]).toEqual([200, "application/json"]);
    const { name, ...links } = body;
    expect(name).toBe("rivulet");
    for (const path of Object.values(links)) {
      expect(text).toContain(`href="${path}"`);
      const answer = await exports.default.fetch(`https://localhost${path}`);
      expect(answer.status, path).toBe(200);
      await answer.body?.cancel();
    }
  }
});

describe("answers are as described", async () => {
  const topic = await createTopic(1);
  const group = unique("described");
  await produce(topic.name, [{ key: "k", value: "v", headers: { h: ["1", null] } }]);
  await readAs(group, topic, { 0: 1 });
  const { body: key } = await call<{ id: string }>("POST", "/v1/keys", {
    principal: "User:described",
    role: "consume",
  });
  const alert = { type: "group-empty", webhook: "https://example.com/hook", forSeconds: 60 };
  await expectStatus(200, "PUT", "/v1/alerts/described", alert);
  const deleted = await createTopic(1);
  await expectStatus(204, "DELETE", `/v1/topics/${deleted.name}`);
  const shareGroup = unique("described");
  const produced = [{ value: "a" }, { value: "b" }];
  await produce(topic.name, produced);
  const shared = await expectStatus<{ records: readonly { leaseId: string }[] }>(
    200,
    "POST",
    `/v1/share-groups/${shareGroup}/acquire`,
    { topics: [topic.name], maxRecords: 1 },
  );
  const { name: dead } = await createTopic(1);
  const deadLetters = { config: { "errors.deadletterqueue.topic.name": dead } };
  await expectStatus(200, "PATCH", `/v1/groups/${shareGroup}`, deadLetters);
  const bodies: Record<string, unknown> = {
    "post /v1/deleted-topics/{topic}/undelete": {},
    "post /v1/topics": { name: unique("described") },
    "patch /v1/topics/{topic}": { config: { "retention.ms": 1_000_000 } },
    "patch /v1/configs": { config: {} },
    "post /v1/topics/{topic}/records": { records: [{ value: 1 }] },
    "patch /v1/groups/{group}": { config: { "group.max.size": 9 } },
    "post /v1/keys": { principal: "User:described", role: "consume" },
    "patch /v1/keys/{id}": { role: "read", expiresAt: null },
    "post /v1/tokens": { role: "consume", subject: "User:described" },
    "post /v1/groups/{group}/offsets": { to: "earliest" },
    "put /v1/alerts/{alert}": { type: "group-lag", threshold: 60 },
    "post /v1/share-groups/{group}/acquire": { topics: [topic.name] },
    "post /v1/share-groups/{group}/redrive": {},
    "post /v1/share-groups/{group}/acknowledge": {
      acks: [
        { leaseId: shared.records[0]?.leaseId, type: "accept" },
        { leaseId: "none", type: "accept" },
      ],
    },
    "post /v1/groups/{group}/poll": { instanceId: "i", topics: [topic.name] },
  };
  const queries: Record<string, string> = {
    "delete /v1/topics/{topic}/partitions/{partition}/records": "?before=0",
  };
  const isCalled = ({ response, path, bodyTypes, body }: Operation) =>
    response !== undefined &&
    path !== "/openapi.json" &&
    path !== "/v1/recovery" && // This runtime keeps no earlier states: see recovery.test.ts.
    (bodyTypes === undefined || body !== undefined);

  test.each(
    OPERATIONS.filter(isCalled).map((each) => [`${each.method} ${each.path}`, each] as const),
  )("[DOC-1] %s", async (name, { method, path, status, response }) => {
    const place = path
      .replace("{topic}", path.includes("deleted-topics") ? deleted.name : topic.name)
      .replace("{partition}", "0")
      .replace("{group}", path.includes("share-groups") ? shareGroup : group)
      .replace("{alert}", "described")
      .replace("{id}", key.id);
    const answer = await call(method.toUpperCase(), `${place}${queries[name] ?? ""}`, bodies[name]);
    expect(answer.status).toBe(status);
    response?.parse(answer.body);
  });

  test("[DOC-1] delete /v1/keys/{id}", async () => {
    const path = `/v1/keys/${key.id}`;
    expect(await call("DELETE", path)).toMatchObject({ status: 204, body: null });
    const again = await call("DELETE", path);
    expect(again).toMatchObject({ status: 404, body: { code: "RESOURCE_NOT_FOUND" } });
    problem.strict().parse(again.body);
  });

  test("[DOC-1] a problem", async () => {
    problem.strict().parse((await call("GET", "/v1/topics/nobody")).body);
  });
});
