// Access inside the runtime: service bindings, origins, and an unreachable cluster.
import { exports } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { TOKEN_AGE_MS } from "../../src/core/limits.ts";
import { clusterStub, type Env, withCaller } from "../../src/env.ts";
import { createKey, deleteKey } from "../../src/worker/access/keys.ts";
import { createToken } from "../../src/worker/access/tokens.ts";
import { forgetEverything, isolate } from "../../src/worker/edge/isolate.ts";
import { app } from "../../src/worker/http/app.ts";
import { createTopic, env, evict, unique } from "./support.ts";

const ROOT_KEY = "the-root-key-of-this-test";
const { caller: _caller, ...open } = env;
/** The broker as deployed: closed. */
const closed: Env = { ...open, RIVULET_OPEN: "", RIVULET_ROOT_KEY: ROOT_KEY };
const context = { waitUntil: () => {}, passThroughOnException: () => {}, props: {} };

async function ask(of: Env, path: string, headers: Record<string, string> = {}) {
  const request = new Request(`https://broker.example${path}`, { headers });
  return await app.fetch(request, of, context as never);
}

const bearer = (text: string) => ({ authorization: `Bearer ${text}` });

beforeEach(() => void vi.spyOn(console, "error").mockImplementation(() => {}));
afterEach(() => {
  vi.restoreAllMocks();
  forgetEverything();
});

test("[MODE-2] without a root key nothing is answered, and the response says how to set one", async () => {
  const none: Env = { ...closed, RIVULET_ROOT_KEY: "" };
  const refused = await ask(none, "/v1/topics");
  expect(refused.status).toBe(401);
  expect(refused.headers.get("www-authenticate")).toBe("Bearer");
  expect(((await refused.json()) as { detail: string }).detail).toContain(
    "wrangler secret put RIVULET_ROOT_KEY",
  );
  expect((await ask(none, "/v1/topics", bearer(""))).status).toBe(401);
  expect((await ask(none, "/health")).status).toBe(200);
});

test("[RPT-5] [ACL-5] fresh metrics wake objects, so they require ALTER on the cluster", async () => {
  const statusFor = async (operation: "ALTER" | "DESCRIBE", query: string) => {
    const grants = [{ cluster: [operation] }];
    const { token } = await createToken(env, { grants, ttlMs: 60_000, subject: "User:m" });
    return (await ask(closed, `/metrics${query}`, bearer(token))).status;
  };
  expect(await statusFor("DESCRIBE", "")).toBe(200);
  expect(await statusFor("DESCRIBE", "?fresh=false")).toBe(200);
  expect(await statusFor("DESCRIBE", "?fresh=true")).toBe(403);
  expect(await statusFor("ALTER", "?fresh=true")).toBe(200);
});

describe("a token that was verified", () => {
  const minted = async (ttlMs: number) =>
    (await createToken(env, { grants: [], ttlMs, subject: "User:t" })).token;
  const statusOf = async (token: string, of = closed) =>
    (await ask(of, "/v1/me", bearer(token))).status;

  test("[JWT-5] is remembered for a moment, and then verified again", async () => {
    const token = await minted(60_000);
    const verify = vi.spyOn(crypto.subtle, "verify");
    const now = vi.spyOn(Date, "now");
    const atMs = Date.now();
    const times = [0, 1, TOKEN_AGE_MS - 1, TOKEN_AGE_MS, 2 * TOKEN_AGE_MS - 1, TOKEN_AGE_MS - 1];
    const verified: number[] = [];
    for (const sinceMs of times) {
      now.mockReturnValue(atMs + sinceMs);
      expect(await statusOf(token)).toBe(200);
      verified.push(verify.mock.calls.length);
    }
    expect(verified).toEqual([1, 1, 1, 2, 2, 3]); // The clock was set back at the end.
  });

  test("[JWT-5] is valid for no longer than it says, and nowhere else", async () => {
    const token = await minted(5_000);
    expect(await statusOf(token)).toBe(200);
    expect(await statusOf(`${token.slice(0, -8)}AAAAAAAA`)).toBe(401);
    expect(await statusOf(token, { ...closed, RIVULET_AUDIENCE: "another" })).toBe(401);
    expect(await statusOf(token)).toBe(200);
    vi.spyOn(Date, "now").mockReturnValue(Date.now() + 5_000);
    expect(await statusOf(token)).toBe(401);
  });
});

test("[MODE-2] a root key may look like any other credential", async () => {
  const { text: key } = await createKey(closed, {
    principal: "User:a",
    grants: [],
    expiresAtMs: null,
  });
  const { token } = await createToken(env, { grants: [], ttlMs: 60_000, subject: "User:t" });
  const principal = async (of: Env, shown: string) =>
    ((await (await ask(of, "/v1/me", bearer(shown))).json()) as { principal?: string }).principal;
  for (const rootKey of [`${key.slice(0, -1)}_`, key, "rvk_", `${token}A`, token, "eyJ", "a.b.c"]) {
    const of = { ...closed, RIVULET_ROOT_KEY_NEXT: rootKey };
    expect(await principal(of, rootKey)).toBe("User:root");
    expect(await principal(of, ROOT_KEY)).toBe("User:root");
    expect(await principal(of, `${rootKey}B`)).toBe(undefined);
    if (rootKey !== key) expect(await principal(of, key)).toBe("User:a");
    if (rootKey !== token) expect(await principal(of, token)).toBe("User:t");
  }
});

test.each([
  [undefined, "https://a.example", "*"],
  ["https://a.example, https://b.example", "https://a.example", "https://a.example"],
  ["https://a.example, https://b.example", "https://b.example", "https://b.example"],
  ["https://a.example", "https://evil.example", null],
])("[MODE-3] if %j may call, %j is told %j", async (allowed, origin, told) => {
  const of = allowed === undefined ? closed : { ...closed, RIVULET_ALLOWED_ORIGINS: allowed };
  const { headers } = await ask(of, "/health", { origin });
  expect(headers.get("access-control-allow-origin")).toBe(told);
  expect(headers.get("access-control-allow-credentials")).toBeNull();
});

describe("a cluster that is out of reach", () => {
  const unreachable: Env = {
    ...closed,
    CLUSTER: {
      getByName: () => new Proxy({}, { get: () => () => Promise.reject(new Error("no cluster")) }),
    } as never,
  };

  test("[APK-4] tokens and known keys still work, and an unknown key is told to retry", async () => {
    const made = { principal: "User:a", grants: [], expiresAtMs: null };
    const { text } = await createKey(closed, made);
    const { text: other } = await createKey(closed, made);
    const request = { grants: [], ttlMs: 60_000, subject: "User:t" };
    const { token } = await createToken(env, request);
    for (const known of [text, token, ROOT_KEY])
      expect((await ask(closed, "/v1/me", bearer(known))).status).toBe(200);
    // Everything remembered is old.
    for (const [id, { key }] of isolate.apiKeys)
      isolate.apiKeys.set(id, { key, atMs: Date.now() - 60_000 });
    for (const known of [text, token, ROOT_KEY])
      expect((await ask(unreachable, "/v1/me", bearer(known))).status).toBe(200);
    const refused = await ask(unreachable, "/v1/me", bearer(other));
    expect(refused.status).toBe(503);
    expect(await refused.json()).toMatchObject({ code: "NETWORK_EXCEPTION", retriable: true });
  });

  test("[APK-4] a key is looked up once in a while, and so is a missing one", async () => {
    const { text, key } = await createKey(closed, {
      principal: "User:a",
      grants: [],
      expiresAtMs: null,
    });
    const asked = vi.fn();
    const counting: Env = {
      ...closed,
      CLUSTER: {
        getByName: () => ({
          apiKey: async (request: { id: string }) => {
            asked(request.id);
            return await clusterStub(closed).apiKey(request);
          },
          noteApiKeyUsed: async () => {},
        }),
      } as never,
    };
    for (let i = 0; i < 5; i++) await ask(counting, "/v1/me", bearer(text));
    expect(asked).toHaveBeenCalledTimes(1);
    await deleteKey(closed, key.id);
    for (let i = 0; i < 5; i++)
      expect((await ask(counting, "/v1/me", bearer(text))).status).toBe(401);
    expect(asked).toHaveBeenCalledTimes(2);
  });
});

test("[APK-4] however many keys are known, one question returns the changed ones", async () => {
  const made = { principal: "User:a", grants: [], expiresAtMs: null };
  const [one, other] = [await createKey(closed, made), await createKey(closed, made)];
  const asked: string[] = [];
  const CLUSTER = {
    getByName: () => ({
      apiKey: async (request: never) => {
        asked.push("apiKey");
        return await clusterStub(closed).apiKey(request);
      },
      apiKeyChanges: async (request: never) => {
        asked.push("apiKeyChanges");
        return await clusterStub(closed).apiKeyChanges(request);
      },
      noteApiKeyUsed: async () => {},
    }),
  };
  const of: Env = { ...closed, CLUSTER: CLUSTER as never };
  const statuses = async () => [
    (await ask(of, "/v1/me", bearer(one.text))).status,
    (await ask(of, "/v1/me", bearer(other.text))).status,
  ];
  const grow = () => {
    const old = Date.now() - 10_000;
    for (const [id, { key }] of isolate.apiKeys) isolate.apiKeys.set(id, { key, atMs: old });
    const { version } = isolate.apiKeysAsOf ?? { version: "" };
    isolate.apiKeysAsOf = { version, atMs: old };
  };
  expect(await statuses()).toEqual([200, 200]);
  asked.length = 0;
  grow();
  expect(await statuses()).toEqual([200, 200]);
  expect(asked).toEqual(["apiKeyChanges"]);
  // Through another isolate, which says nothing to this one.
  await clusterStub(closed).deleteApiKey({ id: other.key.id });
  expect(await statuses()).toEqual([200, 200]);
  asked.length = 0;
  grow();
  expect(await statuses()).toEqual([200, 401]);
  expect(asked).toEqual(["apiKeyChanges", "apiKey"]);
  // A cluster that has begun a new life knows of no changes. All keys are requested again.
  await evict(clusterStub(closed));
  asked.length = 0;
  grow();
  expect(await statuses()).toEqual([200, 401]);
  expect(asked).toEqual(["apiKeyChanges", "apiKey"]);
});

describe("keys that do not exist", () => {
  const counted = () => {
    const asked = vi.fn();
    const CLUSTER = {
      getByName: () => ({
        secret: (request: never) => clusterStub(closed).secret(request),
        apiKey: async (request: { id: string }) => {
          asked(request.id);
          return await clusterStub(closed).apiKey(request);
        },
        noteApiKeyUsed: async () => {},
      }),
    };
    return { asked, of: { ...closed, CLUSTER: CLUSTER as never } };
  };
  const basic = (user: string) => ({ authorization: `Basic ${btoa(`${user}:wrong`)}` });

  test("[APK-6] are recognized by their ids, and nobody is asked", async () => {
    const { asked, of } = counted();
    const { text } = await createKey(closed, {
      principal: "User:a",
      grants: [],
      expiresAtMs: null,
    });
    const id = text.slice(4, 20);
    for (let i = 0; i < 100; i++) {
      const { status } = await ask(
        of,
        "/v1/me",
        basic(i.toString(2).padStart(16, "a").replace(/[01]/g, "b")),
      );
      expect(status).toBe(401);
    }
    for (let at = 0; at < 16; at++) {
      const other = id[at] === "a" ? "b" : "a";
      const changed = id.slice(0, at) + other + id.slice(at + 1);
      expect((await ask(of, "/v1/me", basic(changed))).status).toBe(401);
    }
    expect(asked).not.toHaveBeenCalled();
    expect((await ask(of, "/v1/me", bearer(text))).status).toBe(200);
    expect(asked).toHaveBeenCalledTimes(1);
  });

  test("[APK-6] were revoked, and displace no other key", async () => {
    const { asked, of } = counted();
    const made = { principal: "User:a", grants: [], expiresAtMs: null };
    const [good, gone] = [await createKey(closed, made), await createKey(closed, made)];
    await deleteKey(closed, gone.key.id);
    expect((await ask(of, "/v1/me", bearer(good.text))).status).toBe(200);
    for (let i = 0; i < 5; i++)
      expect((await ask(of, "/v1/me", bearer(gone.text))).status).toBe(401);
    expect(asked.mock.calls).toEqual([[good.key.id], [gone.key.id]]);
    expect([...isolate.apiKeys.keys()]).toEqual([good.key.id]);
  });

  test.each(["alice", "ABCDEFGHIJKLMNOP", "aaaaaaaaaaaaaaa1", "a".repeat(17), ""])(
    "[APK-6] the user %j can have none, and nobody is asked",
    async (user) => {
      const { asked, of } = counted();
      expect((await ask(of, "/v1/me", basic(user))).status).toBe(401);
      expect(asked).not.toHaveBeenCalled();
    },
  );
});

describe("a service binding", () => {
  interface Bound {
    produce(topic: string, records: object[]): Promise<unknown>;
    readonly admin: { listTopics(): Promise<{ name: string }[]> };
    fetch(request: Request): Promise<Response>;
  }
  const bound = (props: object) =>
    (exports as unknown as { Rivulet(options: { props: object }): Bound }).Rivulet({ props });

  test("[RPC-5] acts for the principal in its props, and with all rights if they name none", async () => {
    const { name } = await createTopic(1);
    const writes = {
      principal: "shop",
      grants: [{ topics: { exact: name }, operations: ["WRITE"] }],
    };
    const records = [{ value: "a" }];
    expect(await bound(writes).produce(name, records)).toHaveLength(1);
    const admin = await bound(writes).admin;
    expect((await admin.listTopics()).map((topic) => topic.name)).toEqual([name]);
    const reads = { ...writes, grants: [{ topics: { exact: name }, operations: ["READ"] }] };
    const refusalOf = async (props: object) => {
      try {
        return String(await bound(props).produce(name, records));
      } catch (error) {
        return String(error);
      }
    };
    expect(await refusalOf(reads)).toContain("TOPIC_AUTHORIZATION_FAILED: User:shop may not WRITE");
    expect(await bound({}).produce(name, records)).toHaveLength(1);
    expect((await bound({ role: "write" }).produce(name, records)) as object[]).toHaveLength(1);
    expect(await refusalOf({ grants: "all" })).toContain("grants");
  });

  test("[RPC-5] its fetch authenticates callers, as from outside", async () => {
    const group = unique("group");
    const request = (headers: Record<string, string>) =>
      new Request(`https://app.example/v1/groups/${group}`, { headers });
    // An open broker asks nobody.
    expect((await bound({ grants: [] }).fetch(request({}))).status).toBe(404);
    expect((await bound({}).fetch(request(bearer("wrong")))).status).toBe(401);
  });
});

test("[ACL-5] an unknown caller may do nothing, and a caller in the bindings is believed", async () => {
  expect(
    (
      await ask(
        withCaller(closed, { principal: "User:x", grants: [], expiresAtMs: null, keyId: null }),
        "/v1/configs",
      )
    ).status,
  ).toBe(403);
  expect((await ask(env, "/v1/configs")).status).toBe(200);
});
