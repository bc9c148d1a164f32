// Authentication over Kafka's protocol: what the cluster is asked about a user name, and what not.
import { beforeEach, describe, expect, test, vi } from "vitest";
import { markedId } from "../../../../src/core/access/api-key.ts";
import { ROLES } from "../../../../src/core/access/grants.ts";
import type { StoredKey } from "../../../../src/core/access/stored-key.ts";
import type { Env } from "../../../../src/env.ts";
import { sha256 } from "../../../../src/worker/access/digest.ts";
import { saslCredentials } from "../../../../src/worker/access/sasl-credentials.ts";
import { scramVerifier } from "../../../../src/worker/access/scram.ts";
import { isolate } from "../../../../src/worker/edge/isolate.ts";

const SECRET = "of the deployment";
const NONCE = "abcdefghij";
/** An id with the mark of the deployment. */
const ID = markedId(NONCE, sha256(`${SECRET} ${NONCE}`));
const SALT = new Uint8Array(16);

beforeEach(() => {
  isolate.apiKeys.clear();
  isolate.secrets.clear();
});

async function brokerWith(change: Partial<StoredKey> = {}, variables: Partial<Env> = {}) {
  const verifier = await scramVerifier("secret", "SHA-256", SALT);
  const key: StoredKey = {
    id: ID,
    principal: "User:alice",
    grants: ROLES.read,
    hash: "",
    scram: { "SHA-256": verifier, "SHA-512": verifier },
    createdAtMs: 0,
    expiresAtMs: null,
    lastUsedDay: null,
    ...change,
  };
  const cluster = {
    secret: vi.fn(async () => ({ value: SECRET })),
    apiKey: vi.fn(async (asked: unknown) => ({
      key: JSON.stringify(asked).includes(ID) ? key : null,
    })),
    noteApiKeyUsed: vi.fn(async () => {}),
  };
  const env = { CLUSTER: { getByName: () => cluster }, ...variables } as unknown as Env;
  return { key, cluster, credentials: await saslCredentials(env) };
}

describe("a user name", () => {
  test.each(["", "alice", "ROOT", ID.toUpperCase(), `${ID}a`, ID.slice(1), "a".repeat(100_000)])(
    "[SASL-2] [SASL-3] that is not a key's id is not asked about: %#",
    async (user) => {
      const { cluster, credentials } = await brokerWith();
      expect(await credentials.byPassword(user, "secret")).toBeNull();
      expect(await credentials.scram(user, "SHA-256")).toBeNull();
      expect(cluster.apiKey).not.toHaveBeenCalled();
    },
  );

  test("[SASL-3] finds the key, which is not in use before its secret is shown", async () => {
    const { key, cluster, credentials } = await brokerWith();
    expect(await credentials.scram(ID, "SHA-512")).toEqual({
      verifiers: [key.scram["SHA-512"]],
      caller: { principal: "User:alice", grants: ROLES.read, expiresAtMs: null, keyId: ID },
    });
    expect(cluster.noteApiKeyUsed).not.toHaveBeenCalled();
  });

  test("[SASL-3] of an expired key is nobody's", async () => {
    const { credentials } = await brokerWith({ expiresAtMs: Date.now() });
    expect(await credentials.scram(ID, "SHA-256")).toBeNull();
  });

  test("[SASL-3] root has a verifier of the root's key, and none without one", async () => {
    const { credentials } = await brokerWith({}, { RIVULET_ROOT_KEY: "the-root-key" });
    const first = await credentials.scram("root", "SHA-256");
    expect(first?.caller.principal).toBe("User:root");
    expect(await credentials.scram("root", "SHA-256")).toEqual(first);
    const changed = await brokerWith({}, { RIVULET_ROOT_KEY: "another-root-key" });
    expect((await changed.credentials.scram("root", "SHA-256"))?.verifiers).not.toEqual(
      first?.verifiers,
    );
    const { credentials: closed } = await brokerWith();
    expect(await closed.scram("root", "SHA-256")).toBeNull();
  });
});

test.each(["SHA-256", "SHA-512"] as const)(
  "[SASL-3] root has a verifier of each of its keys, by %s, with one salt",
  async (hash) => {
    const verifiersOf = async (variables: Partial<Env>) =>
      (await (await brokerWith({}, variables)).credentials.scram("root", hash))?.verifiers ?? [];
    const keys = {
      RIVULET_ROOT_KEY: "the-old-root-key",
      RIVULET_ROOT_KEY_NEXT: "the-next-root-key",
    };
    const both = await verifiersOf(keys);
    const [old] = await verifiersOf({ RIVULET_ROOT_KEY: keys.RIVULET_ROOT_KEY });
    const [next] = await verifiersOf({ RIVULET_ROOT_KEY: keys.RIVULET_ROOT_KEY_NEXT });
    expect(both).toEqual([old, next]);
    expect(old).not.toEqual(next);
    expect(new Set(both.map(({ salt, iterations }) => `${salt} ${iterations}`)).size).toBe(1);
    expect(await verifiersOf({ ...keys, RIVULET_ROOT_KEY: "" })).toEqual([next]);
  },
);

test("[SASL-1] the cluster's reason for not answering is reported, and is no refusal", async () => {
  const { cluster, credentials } = await brokerWith();
  cluster.apiKey.mockRejectedValue(new Error("out of reach"));
  await expect(credentials.byPassword(ID, "secret")).rejects.toThrow("cannot be looked up now");
  await expect(credentials.scram(ID, "SHA-256")).rejects.toThrow("cannot be looked up now");
});

test("[SASL-4] an invalid token is nobody's", async () => {
  const { credentials } = await brokerWith({}, { RIVULET_ROOT_KEY: "the-root-key" });
  expect(await credentials.byToken("nothing")).toBeNull();
  expect(await credentials.byToken("the-root-key")).toMatchObject({ principal: "User:root" });
});
