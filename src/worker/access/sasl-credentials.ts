// The users that may sign in over Kafka's protocol: API keys by their ids, and the root.
import { hasExpired, ROOT } from "../../core/access/caller.ts";
import { callerOfKey, type ScramVerifier } from "../../core/access/stored-key.ts";
import { BrokerError } from "../../core/errors.ts";
import type { Env } from "../../env.ts";
import { callerOf, callerOfPassword, ROOT_USER } from "./authenticate.ts";
import { withDefaultQuota } from "./default-quota.ts";
import { sha256 } from "./digest.ts";
import { keyById } from "./keys.ts";
import { rootKeysOf } from "./mode.ts";
import type { Credentials } from "./sasl-login.ts";
import { SCRAM_SALT_BYTES, type ScramHash, scramVerifier } from "./scram.ts";
import { randomSecret, secretNamed } from "./secrets.ts";

/** Returns the users that may sign in. Throws if the cluster cannot be asked for the deployment's secret. */
export async function saslCredentials(env: Env): Promise<Credentials> {
  const saltSecret = await secretNamed(env, "scram-salts", randomSecret);
  return {
    saltSecret,
    byPassword: async (user, password) => await callerOfPassword(env, user, password),
    byToken: async (token) => {
      try {
        return await callerOf(env, { type: "bearer", text: token });
      } catch (error) {
        if (error instanceof BrokerError && error.code === "SASL_AUTHENTICATION_FAILED")
          return null;
        throw error;
      }
    },
    scram: async (user, hash) => {
      if (user === ROOT_USER) {
        const [first, ...others] = await Promise.all(
          rootKeysOf(env).map((rootKey) => rootVerifier(rootKey, hash, saltSecret)),
        );
        return first === undefined ? null : { verifiers: [first, ...others], caller: ROOT };
      }
      const key = await keyById(env, user);
      // The first request notes that the key is in use. A client that knows its id has not shown its secret
      // yet.
      if (key === null || hasExpired(key, Date.now())) return null;
      return { verifiers: [key.scram[hash]], caller: withDefaultQuota(env, callerOfKey(key)) };
    },
  };
}

/** The root's verifiers of this isolate, by key and hash. They take a while to compute. */
const verifiers = new Map<string, ScramVerifier>();
const MAX_VERIFIERS = 8;

/** Returns the verifier for this root key. [SASL-3] All root keys have the same salt. */
async function rootVerifier(
  rootKey: string,
  hash: ScramHash,
  saltSecret: string,
): Promise<ScramVerifier> {
  const name = `${hash} ${saltSecret} ${rootKey}`;
  let verifier = verifiers.get(name);
  if (verifier === undefined) {
    const digest = sha256(`${saltSecret} ${hash} ${ROOT_USER}`);
    verifier = await scramVerifier(rootKey, hash, digest.slice(0, SCRAM_SALT_BYTES));
    if (verifiers.size >= MAX_VERIFIERS) verifiers.clear();
    verifiers.set(name, verifier);
  }
  return verifier;
}
