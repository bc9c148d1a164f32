// Keys, tokens and callers over the SDK's admin.
import { expect, test } from "vitest";
import { BrokerError, Rivulet } from "../../../src/sdk/index.ts";

interface Asked {
  readonly method: string;
  readonly path: string;
  readonly body: unknown;
}

/** An admin of a broker with this response. */
function adminOf(answer: unknown, status = 200) {
  const asked: Asked[] = [];
  const { admin } = new Rivulet({
    url: "http://broker",
    token: "rvk_a_b",
    fetch: async (url, { method, body }) => {
      const path = url.replace("http://broker", "");
      asked.push({ method, path, body: body === undefined ? null : JSON.parse(`${body}`) });
      return { status, ok: status < 400, text: async () => JSON.stringify(answer) };
    },
  });
  return { admin, asked };
}

const GRANTS = [{ topics: { prefix: "orders." }, operations: ["READ"] }] as const;

test("[SDK-40] keys are created, listed, altered and deleted", async () => {
  const { admin, asked } = adminOf({ keys: [{ id: "a" }], id: "a", key: "rvk_a_b" });
  expect(await admin.createKey({ principal: "alice", grants: GRANTS, expiresAt: 5 })).toMatchObject(
    {
      key: "rvk_a_b",
    },
  );
  expect(await admin.listKeys()).toEqual([{ id: "a" }]);
  await admin.alterKey("a/b", { role: "read", expiresAt: null });
  expect(asked).toEqual([
    {
      method: "POST",
      path: "/v1/keys",
      body: { principal: "alice", grants: GRANTS, expiresAt: 5 },
    },
    { method: "GET", path: "/v1/keys", body: null },
    { method: "PATCH", path: "/v1/keys/a%2Fb", body: { role: "read", expiresAt: null } },
  ]);
});

test("[SDK-40] a deleted key may have its sockets closed at once", async () => {
  const { admin, asked } = adminOf("", 204);
  await admin.deleteKey("a");
  await admin.deleteKey("a", { now: ["t", "u"], nowGroups: ["g/h"] });
  expect(asked.map(({ method, path }) => `${method} ${path}`)).toEqual([
    "DELETE /v1/keys/a",
    "DELETE /v1/keys/a?now=t,u&nowGroups=g%2Fh",
  ]);
});

test("[SDK-40] tokens are made, with all rights of the caller unless given", async () => {
  const { admin, asked } = adminOf({ token: "t", expiresAt: "2026-11-28T12:00:00.000Z" });
  expect(await admin.createToken()).toMatchObject({ token: "t" });
  await admin.createToken({ role: "read", ttlMs: 1_000, subject: "bob" });
  expect(asked.map(({ path, body }) => [path, body])).toEqual([
    ["/v1/tokens", {}],
    ["/v1/tokens", { role: "read", ttlMs: 1_000, subject: "bob" }],
  ]);
});

test("[SDK-40] the caller can ask who it is", async () => {
  const me = { principal: "User:alice", grants: GRANTS, keyId: "a" };
  const { admin, asked } = adminOf(me);
  expect(await admin.whoami()).toEqual(me);
  expect(asked).toEqual([{ method: "GET", path: "/v1/me", body: null }]);
});

test.each([
  [401, "SASL_AUTHENTICATION_FAILED"],
  [403, "TOPIC_AUTHORIZATION_FAILED"],
  [403, "GROUP_AUTHORIZATION_FAILED"],
  [403, "CLUSTER_AUTHORIZATION_FAILED"],
] as const)(
  "[SDK-40] %i %s keeps its code, is final, and is requested once",
  async (status, code) => {
    const { admin, asked } = adminOf({ code, detail: "User:a may not" }, status);
    const error = await admin.describeTopic("t").catch((each: unknown) => each);
    expect(error).toBeInstanceOf(BrokerError);
    expect(error).toMatchObject({ code, message: "User:a may not", retriable: false });
    expect(asked).toHaveLength(1);
  },
);

test.each(["SASL_AUTHENTICATION_FAILED", "TOPIC_AUTHORIZATION_FAILED"] as const)(
  "[SDK-40] a producer that is refused with %s does not retry",
  async (code) => {
    let asked = 0;
    const status = code.startsWith("SASL") ? 401 : 403;
    const { producer } = new Rivulet({
      url: "http://broker",
      fetch: async () => {
        asked++;
        return { status, ok: false, text: async () => JSON.stringify({ code, detail: "no" }) };
      },
    });
    await expect(producer.send("t", [{ value: "v" }])).rejects.toMatchObject({ code });
    expect(asked).toBe(1);
  },
);
