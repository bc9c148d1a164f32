// Adds CORS headers and compression to every answer, for browsers and slow connections.

import type { MiddlewareHandler } from "hono";
import { cors } from "hono/cors";
import type { Env } from "../../env.ts";
import { REQUEST_ID_HEADER } from "../../log.ts";
import { BATCH_HEADERS } from "../../protocol/stored-batches.ts";
import { allowedOrigins } from "../access/mode.ts";

/**
 * [MODE-3] Pages of any origin may call, because there are no cookies that they could misuse.
 * RIVULET_ALLOWED_ORIGINS limits the origins. An open broker has already refused all origins that are not of
 * this machine.
 */
const allowPages = cors({
  origin: (origin, context) => {
    const allowed = allowedOrigins(context.env as Env);
    return allowed.length === 0 ? "*" : allowed.includes(origin) ? origin : null;
  },
  allowMethods: ["GET", "POST", "PATCH", "DELETE"],
  allowHeaders: [
    "content-type",
    "content-encoding",
    "idempotency-key",
    "last-event-id",
    "authorization",
  ],
  exposeHeaders: [
    "allow",
    "www-authenticate",
    "retry-after",
    REQUEST_ID_HEADER,
    ...Object.values(BATCH_HEADERS),
  ],
  maxAge: 86_400,
});

/** Skips upgrades. Sockets have no such headers, and the answer to an upgrade cannot be copied. */
function unlessUpgrade(handler: MiddlewareHandler): MiddlewareHandler {
  return (context, next) =>
    context.req.header("upgrade") === undefined ? handler(context, next) : next();
}

export const crossOrigin = unlessUpgrade(allowPages);

/** Matches an Accept-Encoding that names gzip, with a weight above 0 or none. */
const GZIP = /\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))/i;

/** JSON, and the files of the console and of the documentation. */
const COMPRESSIBLE = /^(application\/json|text\/(javascript|css|html)|image\/svg\+xml)(;|$)/;

/**
 * Compresses such answers to GET in gzip if the client accepts it. The runtime compresses a body whose header
 * names gzip. On Cloudflare, and under wrangler, the proxy before the Worker does that, and it requests gzip
 * for every client.
 */
export const compressed = unlessUpgrade(async (context, next) => {
  await next();
  const { cf } = context.req.raw as { cf?: object };
  if (cf !== undefined && "colo" in cf) return;
  const accepted = context.req.header("accept-encoding") ?? "";
  const isText = COMPRESSIBLE.test(context.res.headers.get("content-type") ?? "");
  const { status } = context.res;
  if (context.req.method !== "GET" || status === 304 || !isText || !GZIP.test(accepted)) return;
  context.res.headers.set("content-encoding", "gzip");
  context.res.headers.append("vary", "accept-encoding");
});
