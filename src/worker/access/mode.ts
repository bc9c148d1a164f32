// Whether this broker asks who calls. It is open only where its own start script says so, on an address that nothing but
// this machine reaches. What a request says, and where the broker seems to run, decides nothing.
import { BrokerError } from "../../core/errors.ts";
import { type Env, isOpen } from "../../env.ts";

export { isOpen };

/** [MODE-2] Returns the keys of the root that are good now. */
export function rootKeysOf(env: Env): string[] {
  const { RIVULET_ROOT_KEY, RIVULET_ROOT_KEY_NEXT } = env;
  return [RIVULET_ROOT_KEY, RIVULET_ROOT_KEY_NEXT].filter(
    (key) => key !== undefined && key !== "",
  ) as string[];
}

const NO_ROOT_KEY =
  "this broker has no root key, so it answers nothing; set one: wrangler secret put RIVULET_ROOT_KEY, or RIVULET_ROOT_KEY=… npm start";

/** [MODE-2] The refusal of whoever says nothing. */
export function credentialMissing(env: Env): BrokerError {
  const detail =
    rootKeysOf(env).length === 0
      ? NO_ROOT_KEY
      : "there is no credential; send Authorization: Bearer and an API key or a token";
  return new BrokerError("SASL_AUTHENTICATION_FAILED", detail);
}

const LOOPBACK_NAME = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/;

/**
 * [MODE-1] Refuses what a page on the web sends to an open broker on the machine of whoever looks at it. A name of the
 * page's own that leads to this machine (DNS rebinding) is told by Host, everything else by Origin, which a browser sends
 * with whatever may change anything. Other programs send none.
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

/** [MODE-3] The origins whose pages may call. There are none if any may. */
export function allowedOrigins({ RIVULET_ALLOWED_ORIGINS = "" }: Env): string[] {
  return RIVULET_ALLOWED_ORIGINS.split(",").flatMap((origin) => origin.trim() || []);
}

function isLoopbackOrigin(origin: string): boolean {
  return URL.canParse(origin) && LOOPBACK_NAME.test(new URL(origin).hostname);
}
