// Decides if this broker asks for credentials. It is open only if its own start script says so, on an address
// that only this machine can reach. The content of a request, and where the broker seems to run, decide
// nothing.
import { BrokerError } from "../../core/errors.ts";
import { type Env, isOpen } from "../../env.ts";

export { isOpen };

/** [MODE-2] Returns the root keys that are valid now. */
export function rootKeysOf(env: Env): string[] {
  const { RIVULET_ROOT_KEY, RIVULET_ROOT_KEY_NEXT } = env;
  return [RIVULET_ROOT_KEY, RIVULET_ROOT_KEY_NEXT].filter(
    (key) => key !== undefined && key !== "",
  ) as string[];
}

const NO_ROOT_KEY =
  "this broker has no root key, so it answers nothing; set one: wrangler secret put RIVULET_ROOT_KEY, or RIVULET_ROOT_KEY=… npm start";

/** [MODE-2] The refusal of a caller without a credential. */
export function credentialMissing(env: Env): BrokerError {
  const detail =
    rootKeysOf(env).length === 0
      ? NO_ROOT_KEY
      : "there is no credential; send Authorization: Bearer and an API key or a token";
  return new BrokerError("SASL_AUTHENTICATION_FAILED", detail);
}

const LOOPBACK_NAME = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/;

/**
 * [MODE-1] Refuses requests that a web page sends to an open broker on the machine of a person who views it.
 * Host reveals a name of the page's own that leads to this machine (DNS rebinding). Origin reveals everything
 * else, because browsers send it with whatever may change anything. Other programs send neither.
 * @throws BrokerError CLUSTER_AUTHORIZATION_FAILED
 */
export function assertFromThisMachine(env: Env, { url, headers }: Request): void {
  const { hostname } = new URL(url);
  const open = "open to this machine only, because it has no root key (RIVULET_ROOT_KEY)";
  if (!LOOPBACK_NAME.test(hostname))
    throw new BrokerError(
      "CLUSTER_AUTHORIZATION_FAILED",
      `Host is ${hostname}, it must be localhost or 127.0.0.1: this broker is ${open}`,
    );
  const origin = headers.get("origin");
  if (origin === null || isLoopbackOrigin(origin) || allowedOrigins(env).includes(origin)) return;
  throw new BrokerError(
    "CLUSTER_AUTHORIZATION_FAILED",
    `Origin is ${origin}, it must be a page of this machine, or one that RIVULET_ALLOWED_ORIGINS names: this broker is ${open}`,
  );
}

/** [MODE-3] Returns the origins whose pages may call; an empty list if all may. */
export function allowedOrigins({ RIVULET_ALLOWED_ORIGINS = "" }: Env): string[] {
  return RIVULET_ALLOWED_ORIGINS.split(",").flatMap((origin) => origin.trim() || []);
}

function isLoopbackOrigin(origin: string): boolean {
  return URL.canParse(origin) && LOOPBACK_NAME.test(new URL(origin).hostname);
}
