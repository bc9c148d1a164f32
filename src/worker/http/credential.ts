// The credential of a request. It is in the Authorization header, if the client can set headers. A browser's
// WebSocket sends it as a subprotocol, and its EventSource in the query.
import { BrokerError } from "../../core/errors.ts";
import { MAX_TOKEN_CHARS } from "../../core/limits.ts";
import { TOKEN_SUBPROTOCOL } from "../../protocol/version.ts";
import type { Credential } from "../access/authenticate.ts";

const NONE: Credential = { type: "none" };

/**
 * [APK-5] Returns the credential of the request. The header comes first.
 * @throws BrokerError SASL_AUTHENTICATION_FAILED if it cannot be read
 */
export function credentialOf(request: Request): Credential {
  const authorization = request.headers.get("authorization");
  if (authorization !== null) return credentialOfHeader(authorization);
  const isUpgrade = request.headers.get("upgrade")?.toLowerCase() === "websocket";
  const offered = isUpgrade ? tokenOffered(request.headers.get("sec-websocket-protocol")) : null;
  if (offered !== null) return { type: "bearer", text: bounded(offered) };
  const { pathname, searchParams } = new URL(request.url);
  const token = searchParams.get(QUERY_TOKEN);
  if (token === null) return NONE;
  const isEventSource = request.method === "GET" && !isUpgrade && STREAM.test(pathname);
  return { type: isEventSource ? "token" : "misplaced", text: bounded(token) };
}

const STREAM = /^\/v1\/topics\/[^/]+\/stream$/;

/** The parameter of the query that carries a token. */
export const QUERY_TOKEN = "access_token";

function credentialOfHeader(header: string): Credential {
  const [, scheme = "", text = ""] = /^(\S+) +(\S+) *$/.exec(header) ?? [];
  if (scheme.toLowerCase() === "bearer") return { type: "bearer", text: bounded(text) };
  if (scheme.toLowerCase() !== "basic")
    throw refused(
      "Authorization must be Bearer and a key or token, or Basic with the id and secret of a key",
    );
  const [, user, password] = /^([^:]*):(.*)$/s.exec(decoded(bounded(text))) ?? [];
  if (user === undefined || password === undefined)
    throw refused("Authorization: Basic must be the base64 of id:secret");
  return { type: "password", user, password };
}

function decoded(base64: string): string {
  try {
    return atob(base64);
  } catch {
    return "";
  }
}

/** Returns the token among the subprotocols that a socket offers, or null. */
function tokenOffered(offered: string | null): string | null {
  const found = (offered ?? "")
    .split(",")
    .map((name) => name.trim())
    .find((name) => name.startsWith(TOKEN_SUBPROTOCOL));
  return found === undefined ? null : found.slice(TOKEN_SUBPROTOCOL.length);
}

function bounded(text: string): string {
  if (text.length > 0 && text.length <= MAX_TOKEN_CHARS) return text;
  throw refused(`the credential has ${text.length} characters, it needs 1 to ${MAX_TOKEN_CHARS}`);
}

function refused(detail: string): BrokerError {
  return new BrokerError("SASL_AUTHENTICATION_FAILED", detail);
}
