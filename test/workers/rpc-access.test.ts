// Access over a service binding: the columns of the access matrix as its props.
import { exports } from "cloudflare:workers";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import type { AdminService, RivuletService } from "../../src/admin/service.ts";
import { CALLER_HEADER, upgradeFor } from "../../src/calls/socket-caller.ts";
import { ROOT } from "../../src/core/access/caller.ts";
import type { Grant } from "../../src/core/access/grants.ts";
import type { Env } from "../../src/env.ts";
import { createKey } from "../../src/worker/access/keys.ts";
import { Rivulet } from "../../src/worker/rpc/rivulet.ts";
import { createTopic, env, expectStatus, ORIGIN, unique } from "./support.ts";

const ROOT_KEY = "the-root-key-of-this-test";
const { caller: _caller, ...open } = env;
/** The broker as deployed: closed. */
const closed: Env = { ...open, RIVULET_OPEN: "", RIVULET_ROOT_KEY: ROOT_KEY };

const orders = unique("orders");
const [topic, other, group] = [`${orders}.x`, unique("other"), unique("billing")];

const topics = (prefix: string, ...operations: string[]) => ({ topics: { prefix }, operations });
const groups = (prefix: string) => ({ groups: { prefix }, operations: ["READ"] });
/** The props of each column. A binding without any may do everything. */
const PROPS = {
  R: { grants: [topics(orders, "READ")] },
  W: { grants: [topics(orders, "WRITE")] },
  G: { grants: [groups(group)] },
  P: { grants: [topics(other, "READ", "WRITE")] },
  C: { grants: [topics(orders, "READ"), groups(group)] },
  A: {},
} as const;
type Column = keyof typeof PROPS;
const COLUMNS = Object.keys(PROPS) as Column[];

type Bound = Omit<RivuletService, "admin"> & {
  readonly admin: Promise<AdminService>;
  fetch(request: Request): Promise<Response>;
};
const boundWith = (props: object) =>
  (exports as unknown as { Rivulet(options: { props: object }): Bound }).Rivulet({ props });

beforeAll(async () => {
  vi.spyOn(console, "error").mockImplementation(() => {});
  await createTopic(1, {}, topic);
  await createTopic(1, {}, other);
  await expectStatus(200, "PATCH", `/v1/groups/${group}`, {
    config: { "consumer.session.timeout.ms": 10_000 },
  });
});
afterAll(() => void vi.restoreAllMocks());

const [T, G, C] = ["T", "G", "C"];
const REFUSED = /\b(TOPIC|GROUP|CLUSTER)_AUTHORIZATION_FAILED/;

/** "ok", or the first letter of the refused operation. The platform may carry only an error's message. */
async function told(call: () => Promise<unknown>): Promise<string> {
  try {
    await call();
    return "ok";
  } catch (error) {
    const [, refused] = REFUSED.exec(String(error)) ?? [];
    return refused?.slice(0, 1) ?? String(error);
  }
}

const RECORDS = [{ value: "a" }];
const READ: Grant = { topics: { exact: "x" }, operations: ["READ"] };

const CALLS: readonly [
  what: string,
  call: (bound: Bound, admin: AdminService) => Promise<unknown>,
  answers: readonly string[],
][] = [
  ["produce", (bound) => bound.produce(topic, RECORDS), [T, "ok", T, T, T, "ok"]],
  ["describeTopic", (_, admin) => admin.describeTopic(topic), ["ok", "ok", T, T, "ok", "ok"]],
  ["createTopic", (_, admin) => admin.createTopic({ name: unique(topic) }), [T, T, T, T, T, "ok"]],
  [
    "alterTopic",
    (_, admin) => admin.alterTopic(topic, { config: { "retention.ms": 1_000_000 } }),
    [T, T, T, T, T, "ok"],
  ],
  ["deleteRecords", (_, admin) => admin.deleteRecords(topic, 0, 0), [T, T, T, T, T, "ok"]],
  [
    "listOffset",
    (_, admin) => admin.listOffset(topic, 0, "latest"),
    ["ok", "ok", T, T, "ok", "ok"],
  ],
  ["describeGroup", (_, admin) => admin.describeGroup(group), [G, G, "ok", G, "ok", "ok"]],
  ["groupHistory", (_, admin) => admin.groupHistory(group), [G, G, "ok", G, "ok", "ok"]],
  ["groupConfig", (_, admin) => admin.groupConfig(group), [G, G, G, G, G, "ok"]],
  ["alterGroup", (_, admin) => admin.alterGroup(group, { config: {} }), [G, G, G, G, G, "ok"]],
  [
    "resetGroup",
    (_, admin) => admin.resetGroup(group, { topics: [topic], to: "earliest" }),
    [G, G, T, G, "ok", "ok"],
  ],
  ["describeConfigs", (_, admin) => admin.describeConfigs(), [C, C, C, C, C, "ok"]],
  ["alterConfigs", (_, admin) => admin.alterConfigs({}), [C, C, C, C, C, "ok"]],
  ["listKeys", (_, admin) => admin.listKeys(), [C, C, C, C, C, "ok"]],
  [
    "createKey",
    (_, admin) => admin.createKey({ principal: "k", grants: [READ] }),
    [C, C, C, C, C, "ok"],
  ],
  [
    "createToken, for more than it may do",
    (_, admin) => admin.createToken({ role: "admin" }),
    [C, C, C, C, C, "ok"],
  ],
  ["whoami", (_, admin) => admin.whoami(), ["ok", "ok", "ok", "ok", "ok", "ok"]],
  [
    "deleteGroupOffsets",
    (_, admin) => admin.deleteGroupOffsets(group, [topic]),
    [G, G, G, G, G, "ok"],
  ],
  ["deleteGroup", (_, admin) => admin.deleteGroup(group), [G, G, G, G, G, "ok"]],
  ["deleteTopic", (_, admin) => admin.deleteTopic(topic), [T, T, T, T, T, "ok"]],
];

test("[RPC-5] produceBatch checks each topic by itself", async () => {
  const batch = [topic, other].map((name) => ({ topic: name, records: RECORDS }));
  const told = await Promise.all(
    COLUMNS.map(async (column) => {
      try {
        const outcomes = await boundWith(PROPS[column]).produceBatch(batch);
        return outcomes.map(([first]) => (first !== undefined && "error" in first ? T : "ok"));
      } catch (error) {
        return REFUSED.exec(String(error))?.[0]; // All of them are refused.
      }
    }),
  );
  const all = "TOPIC_AUTHORIZATION_FAILED";
  expect(told).toEqual([all, ["ok", T], all, [T, "ok"], all, ["ok", "ok"]]);
});

test("[RPC-5] lists hold what the props allow", async () => {
  const listed = await Promise.all(
    COLUMNS.map(async (column) => {
      const admin = await boundWith(PROPS[column]).admin;
      return (await admin.listTopics())
        .map(({ name }) => name)
        .filter((name) => name === topic || name === other);
    }),
  );
  const all = [topic, other].sort();
  expect(listed).toEqual([[topic], [topic], [], [other], [topic], all]);
});

// Deletions come last.
test.each(CALLS)("[RPC-5] %s acts as the principal in the props", async (_, call, answers) => {
  for (const [i, column] of COLUMNS.entries()) {
    const bound = boundWith(PROPS[column]);
    const admin = await bound.admin;
    expect(await told(() => call(bound, admin)), column).toBe(answers[i]);
  }
});

test("[RPC-5] fetch authenticates its caller, whatever the props say", async () => {
  const context = { waitUntil: () => {}, passThroughOnException: () => {}, props: {} };
  const rivulet = new Rivulet(context as never, closed as never);
  const path = `${ORIGIN}/v1/topics/${unique(orders)}`;
  const statusOf = async (headers: Record<string, string>) =>
    (await rivulet.fetch(new Request(path, { headers }))).status;
  const keyed = async (column: Exclude<Column, "A">) => {
    const { grants } = PROPS[column];
    const { text } = await createKey(closed, {
      ...{ principal: `User:${column}`, grants: grants as readonly Grant[], expiresAtMs: null },
    });
    return statusOf({ authorization: `Bearer ${text}` });
  };
  expect(await statusOf({})).toBe(401);
  expect(await statusOf({ authorization: "Bearer wrong" })).toBe(401);
  // Nothing in the request names the caller.
  const { headers } = upgradeFor(ROOT);
  expect(await statusOf({ [CALLER_HEADER]: headers[CALLER_HEADER] as string })).toBe(401);
  expect(await Promise.all([keyed("R"), keyed("W"), keyed("C")])).toEqual([404, 404, 404]);
  expect(await Promise.all([keyed("G"), keyed("P")])).toEqual([403, 403]);
  expect(await statusOf({ authorization: `Bearer ${ROOT_KEY}` })).toBe(404);
});

test("[TEN-2] a binding with a namespace sees its own names, and its errors have them", async () => {
  const namespace = `${unique("tenant")}.`;
  const bound = boundWith({ role: "admin", namespace });
  const admin = await bound.admin;
  expect(await admin.createTopic({ name: "orders" })).toMatchObject({ name: "orders" });
  expect(await bound.produce("orders", [{ value: "a" }])).toMatchObject([{ offset: 0 }]);
  expect((await admin.listTopics()).map(({ name }) => name)).toEqual(["orders"]);
  expect(await admin.describeTopic("orders")).toMatchObject({ name: "orders" });
  await expectStatus(200, "GET", `/v1/topics/${namespace}orders`);
  const failed = bound.produce("missing", [{ value: "a" }]).catch((error: unknown) => error);
  expect(String(await failed)).toContain("topic missing does not exist");
  expect(String(await failed)).not.toContain(namespace);
  expect(await told(() => admin.describeConfigs())).toBe(C);
});

test("[QUO-2] a binding has the quota of its props", async () => {
  const principal = unique("app");
  const bound = boundWith({ role: "admin", principal, quota: { requestRate: 1 } });
  const failures: string[] = [];
  const { name } = await createTopic(1);
  for (let i = 0; i < 20; i++)
    await bound
      .produce(name, [{ value: "a" }])
      .catch((error: unknown) => failures.push(String(error)));
  expect(failures.length).toBeGreaterThan(0);
  expect(failures[0]).toContain("THROTTLING_QUOTA_EXCEEDED");
  expect(failures[0]).toContain("1 requests per second");
});

test("[ACL-9] props with more rights than a socket keeps are refused by their size", async () => {
  const grants = Array(100).fill({ cluster: ["ALL"] });
  const bound = boundWith({ principal: "large", namespace: `${"n".repeat(63)}.`, grants });
  expect(await told(async () => (await bound.admin).whoami())).toMatch(
    /grants: User:large's 300 grants .* bytes, the bound is 15200/,
  );
});
