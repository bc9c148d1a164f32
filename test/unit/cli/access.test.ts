// keys, tokens, whoami and access check: their requests to the broker, and their output.
import type { Command } from "commander";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { commandTree } from "../../../src/cli/command-tree.ts";
import { explain } from "../../../src/cli/context.ts";
import { createProgram } from "../../../src/cli/program.ts";
import { grantText, parseGrant } from "../../../src/cli/rights.ts";
import { parseDuration, parseExpiry } from "../../../src/cli/times.ts";
import { BrokerError } from "../../../src/sdk/index.ts";

const NOW_MS = Date.parse("2026-11-28T12:00:00Z");
const KEY = {
  id: "abcdefgh23456777",
  principal: "User:alice",
  grants: [
    { topics: { prefix: "orders." }, operations: ["READ", "WRITE"] },
    { groups: { exact: "billing" }, operations: ["READ"] },
  ],
  createdAt: "2026-11-28T12:00:00.000Z",
  expiresAt: null,
  lastUsed: "2026-11-28",
};

beforeEach(() => {
  vi.useFakeTimers({ now: NOW_MS, toFake: ["Date"] });
  for (const name of ["RIVULET_URL", "RIVULET_TOKEN", "RIVULET_CONFIG"]) vi.stubEnv(name, "");
  vi.stubEnv("XDG_CONFIG_HOME", "/nowhere");
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  vi.unstubAllGlobals();
  process.exitCode = undefined;
});

interface Asked {
  readonly request: string;
  readonly credential: string | undefined;
  readonly body: unknown;
}

/** Runs the command line against a broker with this response. */
async function run(args: readonly string[], answer: unknown = {}, status = 200) {
  const asked: Asked[] = [];
  vi.stubGlobal("fetch", async (url: string, init: RequestInit & { headers: object }) => {
    asked.push({
      request: `${init.method} ${new URL(url).pathname}${new URL(url).search}`,
      credential: (init.headers as Record<string, string>).authorization,
      body: init.body === undefined ? null : JSON.parse(String(init.body)),
    });
    const text = async () => (status === 204 ? "" : JSON.stringify(answer));
    return { status, ok: status < 400, text };
  });
  let out = "";
  vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    out += text;
    return true;
  });
  const quiet = (command: Command): Command => {
    command.exitOverride().configureOutput({ writeErr: () => {} });
    command.commands.forEach(quiet);
    return command;
  };
  await quiet(createProgram()).parseAsync(args, { from: "user" });
  return { asked, out };
}

describe("grants", () => {
  test.each([
    ["topic:orders:read,write", { topics: { exact: "orders" }, operations: ["READ", "WRITE"] }],
    ["topic-prefix:orders.:read", { topics: { prefix: "orders." }, operations: ["READ"] }],
    ["topic-prefix::all", { topics: { prefix: "" }, operations: ["ALL"] }],
    ["group:a:b*:read", { groups: { exact: "a:b*" }, operations: ["READ"] }],
    ["group-prefix::describe", { groups: { prefix: "" }, operations: ["DESCRIBE"] }],
    ["cluster:describe_configs", { cluster: ["DESCRIBE_CONFIGS"] }],
  ])("[SYS-3] the grant %s is read and shown alike", (text, grant) => {
    expect(parseGrant(text)).toEqual(grant);
    expect(grantText(parseGrant(text))).toBe(text);
  });

  test.each([
    ["orders:read", "topic:NAME:OPERATIONS"],
    ["topic:orders", "topic:NAME:OPERATIONS"],
    ["topic::read", "topic-prefix::read means all"],
    ["topic:orders:reed", "reed is not an operation on a topic, there are all,read,write"],
    ["group:g:write", "write is not an operation on a group, there are all,read,delete"],
    ["cluster:", "topic:NAME:OPERATIONS"],
  ])("[SYS-3] the grant %s is rejected with what it must be", (text, error) => {
    expect(() => parseGrant(text)).toThrow(error);
  });
});

describe("how long", () => {
  test.each([
    ["90s", 90_000],
    ["15m", 900_000],
    ["12h", 43_200_000],
    ["30d", 2_592_000_000],
    ["5ms", 5],
  ])("[SYS-3] %s is %i ms, and ends so long from now", (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
    expect(parseExpiry(text)).toEqual({ atMs: NOW_MS + ms });
  });

  test("[SYS-3] an end may also be a time, or never come; nothing else is valid", () => {
    expect(parseExpiry("2027-01-31T00:00Z")).toEqual({ atMs: Date.parse("2027-01-31T00:00Z") });
    expect(parseExpiry("never")).toEqual({ atMs: null });
    for (const text of ["", "soon", "5", "2027-99-99"])
      expect(() => parseExpiry(text)).toThrow("It must be a duration from now such as 12h");
    for (const text of ["", "1.5h", "-1s", "never"])
      expect(() => parseDuration(text)).toThrow("It must be a duration such as 90s");
  });
});

describe("keys", () => {
  const made = { ...KEY, key: "rvk_the_whole", secret: "the-secret" };

  test("[SYS-3] create requests the given grants, and prints the key", async () => {
    const { asked, out } = await run(
      [
        ...["keys", "create", "--principal", "alice", "--expires", "1d"],
        ...["--grant", "topic-prefix:orders.:read,write", "--grant", "group:billing:read"],
      ],
      made,
    );
    const body = { principal: "alice", grants: KEY.grants, expiresAt: NOW_MS + 86_400_000 };
    expect(asked).toEqual([{ request: "POST /v1/keys", credential: undefined, body }]);
    expect(out).toBe(
      "Created key abcdefgh23456777 of User:alice. It is shown only now:\nrvk_the_whole\n" +
        "A Kafka client's user name is abcdefgh23456777, and its password the-secret\n",
    );
  });

  test("[SYS-3] create takes a role, or grants as JSON, and prints JSON for programs", async () => {
    const first = await run(["keys", "create", "--principal", "a", "--role", "read"], made);
    expect(first.asked[0]?.body).toEqual({ principal: "a", role: "read", expiresAt: null });
    const grants = JSON.stringify(KEY.grants);
    const args = ["--json", "keys", "create", "--principal", "a", "--grants", grants];
    const second = await run(args, made);
    expect(second.asked[0]?.body).toMatchObject({ grants: KEY.grants });
    expect(JSON.parse(second.out)).toEqual(made);
  });

  test.each([
    [[], "give --role, --grant or --grants"],
    [["--role", "read", "--grant", "cluster:describe"], "not several"],
    [["--role", "king"], "Allowed choices are read, write, consume, admin"],
    [["--grants", "{"], "--grants is not JSON"],
    [["--grants", "{}"], "--grants is JSON, but not an array"],
    [["--grant", "x"], "It must be topic:NAME:OPERATIONS"],
  ])("[SYS-3] create with %j is rejected", async (args, error) => {
    await expect(run(["keys", "create", "--principal", "a", ...args])).rejects.toThrow(error);
  });

  const QUOTA = { requestRate: 50, producerByteRate: 10_000 };

  test("[SYS-3] create takes a namespace and a quota, and list shows them", async () => {
    const { asked } = await run(
      [
        ...["keys", "create", "--principal", "a", "--role", "admin", "--namespace", "acme."],
        ...["--request-rate", "50", "--producer-byte-rate", "10000"],
      ],
      made,
    );
    expect(asked[0]?.body).toMatchObject({ namespace: "acme.", quota: QUOTA });
    const bounded = { ...KEY, namespace: "acme.", quota: QUOTA };
    const { out } = await run(["keys", "list"], { keys: [bounded] });
    expect(out).toContain("acme.");
    expect(out).toContain("request-rate 50, producer-byte-rate 10000");
    for (const number of ["0", "-1", "1.5", "many"]) {
      const args = ["keys", "create", "--principal", "a", "--role", "read", "--connections"];
      await expect(run([...args, number])).rejects.toThrow("It must be a whole number above 0.");
    }
  });

  test("[SYS-3] alter changes a quota, or removes it", async () => {
    const { asked, out } = await run(["keys", "alter", KEY.id, "--request-rate", "50"], {
      ...KEY,
      namespace: "acme.",
      quota: { requestRate: 50 },
    });
    expect(asked[0]?.body).toEqual({ quota: { requestRate: 50 } });
    expect(out).toContain(
      "Names:     all begin with acme., which is not shown\nQuota:     request-rate 50",
    );
    const none = await run(["keys", "alter", KEY.id, "--no-quota"], KEY);
    expect(none.asked[0]?.body).toEqual({ quota: null });
    await expect(run(["keys", "alter", KEY.id])).rejects.toThrow("or a quota");
  });

  test("[SYS-3] list shows the keys with their grants", async () => {
    const { out } = await run(["keys", "list"], { keys: [KEY] });
    expect(out.split("\n")[1]).toMatch(
      /^abcdefgh23456777 +User:alice +never +2026-11-28 +- +- +topic-prefix:orders.:read,write group:billing:read$/,
    );
    expect((await run(["keys", "list"], { keys: [] })).out).toContain("There are no keys.");
  });

  test("[SYS-3] alter changes only what is named", async () => {
    const { asked, out } = await run(["keys", "alter", KEY.id, "--expires", "never"], KEY);
    expect(asked).toMatchObject([
      { request: `PATCH /v1/keys/${KEY.id}`, body: { expiresAt: null } },
    ]);
    expect(out).toContain("Principal: User:alice\nExpires:   never\nGrants:\n  topic-prefix:");
    const role = await run(["keys", "alter", KEY.id, "--role", "read"], { ...KEY, grants: [] });
    expect(role.asked[0]?.body).toEqual({ role: "read" });
    expect(role.out).toContain("Grants:    none");
    await expect(run(["keys", "alter", KEY.id])).rejects.toThrow("give --role");
  });

  test("[SYS-3] revoke deletes the key, and closes the named sockets", async () => {
    const { asked, out } = await run(["keys", "revoke", KEY.id], null, 204);
    expect(asked).toMatchObject([{ request: `DELETE /v1/keys/${KEY.id}` }]);
    expect(out).toBe(`Revoked key ${KEY.id}.\n`);
    const args = ["--now", "t", "u", "--now-groups", "g"];
    const now = await run(["keys", "revoke", KEY.id, ...args], null, 204);
    expect(now.asked[0]?.request).toBe(`DELETE /v1/keys/${KEY.id}?now=t,u&nowGroups=g`);
  });
});

describe("tokens", () => {
  const made = { token: "a.b.c", expiresAt: "2026-11-28T13:00:00.000Z" };

  test("[SYS-3] create asks with the key, for no more than is named", async () => {
    const { asked, out } = await run(["--token", "rvk_k", "tokens", "create"], made);
    expect(asked).toEqual([{ request: "POST /v1/tokens", credential: "Bearer rvk_k", body: {} }]);
    expect(out).toBe("a.b.c\nIt expires at 2026-11-28T13:00:00.000Z.\n");
    const args = ["--grant", "topic:prices:read", "--ttl", "1h", "--subject", "visitor"];
    const narrow = await run(["--json", "tokens", "create", ...args], made);
    expect(narrow.asked[0]?.body).toEqual({
      grants: [{ topics: { exact: "prices" }, operations: ["READ"] }],
      ttlMs: 3_600_000,
      subject: "visitor",
    });
    expect(JSON.parse(narrow.out)).toEqual(made);
  });
});

describe("who may what", () => {
  const me = { principal: "User:alice", grants: KEY.grants, keyId: KEY.id };

  test("[SYS-3] whoami shows the principal, the key and the grants", async () => {
    const { asked, out } = await run(["whoami"], { ...me, expiresAt: "2027-01-01T00:00:00.000Z" });
    expect(asked).toMatchObject([{ request: "GET /v1/me" }]);
    expect(out).toBe(
      "Principal: User:alice\nKey:       abcdefgh23456777\nExpires:   2027-01-01T00:00:00.000Z\n" +
        "Grants:\n  topic-prefix:orders.:read,write\n  group:billing:read\n",
    );
  });

  test.each([
    [["--topic", "orders.x"], "User:alice may READ topic orders.x\n"],
    [
      ["--topic", "orders.x", "--operation", "describe"],
      "User:alice may DESCRIBE topic orders.x\n",
    ],
    [
      ["--topic", "orders.x", "--group", "billing"],
      "User:alice may READ topic orders.x\nUser:alice may READ group billing\n",
    ],
  ])("[SYS-3] access check %j says that it is allowed", async (args, said) => {
    const { asked, out } = await run(["access", "check", "--as", "rvk_x", ...args], me);
    expect(asked).toEqual([{ request: "GET /v1/me", credential: "Bearer rvk_x", body: null }]);
    expect(out).toBe(said);
    expect(process.exitCode).toBe(undefined);
  });

  test.each([
    [
      ["--topic", "other"],
      "User:alice may not READ topic other; it needs a grant of READ on topics\n",
    ],
    [
      ["--topic", "orders.x", "--operation", "Delete"],
      "User:alice may not DELETE topic orders.x; it needs a grant of DELETE on topics\n",
    ],
    [
      ["--cluster"],
      "User:alice may not DESCRIBE the cluster; it needs a grant of DESCRIBE on cluster\n",
    ],
  ])(
    "[SYS-3] access check %j says which grant is missing, and exits with 1",
    async (args, said) => {
      const { asked, out } = await run(["--token", "mine", "access", "check", ...args], me);
      expect(asked[0]?.credential, "whoever asks").toBe("Bearer mine");
      expect(out).toBe(said);
      expect(process.exitCode).toBe(1);
    },
  );

  test("[SYS-3] access check prints JSON for programs", async () => {
    const { out } = await run(
      ["--json", "access", "check", "--topic", "orders.x", "--group", "g"],
      me,
    );
    expect(JSON.parse(out)).toEqual({
      principal: "User:alice",
      allowed: false,
      checks: [
        { type: "topic", name: "orders.x", operation: "READ", allowed: true, missing: null },
        {
          type: "group",
          name: "g",
          operation: "READ",
          allowed: false,
          missing: "User:alice may not READ group g; it needs a grant of READ on groups",
        },
      ],
    });
  });

  test.each([
    [[], "give --topic, --group or --cluster"],
    [["--group", "g", "--operation", "write"], "--operation: write is not an operation on a group"],
  ])("[SYS-3] access check %j is rejected", async (args, error) => {
    await expect(run(["access", "check", ...args], me)).rejects.toThrow(error);
  });
});

test.each([
  ["SASL_AUTHENTICATION_FAILED", /^SASL_AUTHENTICATION_FAILED: it is so\ngive an API key/],
  ["TOPIC_AUTHORIZATION_FAILED", /^TOPIC_AUTHORIZATION_FAILED: it is so\n`rivulet whoami`/],
  ["GROUP_AUTHORIZATION_FAILED", /`rivulet whoami`/],
  ["CLUSTER_AUTHORIZATION_FAILED", /`rivulet whoami`/],
] as const)("[SYS-3] %s is reported with what to do", (code, told) => {
  expect(explain(new BrokerError(code, "it is so"), { url: "http://b" })).toMatch(told);
});

test("[CLI-6] completion knows the commands, and where topics and groups go", () => {
  const tree = commandTree(createProgram());
  const paths = tree.map(({ path }) => path);
  for (const path of [
    ...["keys create", "keys list", "keys alter", "keys revoke"],
    ...["tokens create", "whoami", "access check"],
  ])
    expect(paths).toContain(path);
  const values = (path: string, flag: string) =>
    tree.find((each) => each.path === path)?.options.find(({ flags }) => flags.includes(flag))
      ?.values;
  expect(values("access check", "--topic")).toBe("topics");
  expect(values("access check", "--group")).toBe("groups");
  expect(values("keys revoke", "--now")).toBe("topics");
  expect(values("keys create", "--role")).toEqual(["read", "write", "consume", "admin"]);
});
