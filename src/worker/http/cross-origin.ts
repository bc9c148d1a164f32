// Adds to every answer what browsers and slow connections need: CORS, and compression of text.
import type { MiddlewareHandler } from "hono";
import { cors } from "hono/cors";

/** Pages of any origin may call, because there are no cookies that they could misuse. */
const allowAll = cors({
  origin: "*",
  allowMethods: ["GET", "POST", "PATCH", "DELETE"],
  allowHeaders: [
    "content-type",
    "content-encoding",
    "idempotency-key",
    "last-event-id",
    "authorization",
  ],
  exposeHeaders: ["allow"],
  maxAge: 86_400,
});

/** Skips upgrades. Sockets have no such headers, and an upgrade's answer cannot be copied. */
function unlessUpgrade(handler: MiddlewareHandler): MiddlewareHandler {
  return (context, next) =>
    context.req.header("upgrade") === undefined ? handler(context, next) : next();
}

export const crossOrigin = unlessUpgrade(allowAll);

/** Accept-Encoding names gzip, with a weight above 0 or none. */
const GZIP = /\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))/i;

/**
 * Compresses JSON answers to GET in gzip if the client accepts it. The runtime packs a body
 * whose header says that it is packed. On Cloudflare, and under wrangler, the proxy before the
 * Worker does that, and it requests gzip for every client.
 */
export const compressed = unlessUpgrade(async (context, next) => {
  await next();
  const { cf } = context.req.raw as { cf?: object };
  if (cf !== undefined && "colo" in cf) return;
  const accepted = context.req.header("accept-encoding") ?? "";
  const isJson = context.res.headers.get("content-type")?.startsWith("application/json");
  if (context.req.method !== "GET" || !isJson || !GZIP.test(accepted)) return;
  context.res.headers.set("content-encoding", "gzip");
  context.res.headers.append("vary", "accept-encoding");
});
