// What browsers and slow connections need of every answer: CORS, and compression of text.
import type { MiddlewareHandler } from "hono";
import { cors } from "hono/cors";

/** Pages of any origin may call: there are no cookies that they could misuse. */
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

/** Sockets have no such headers, and an upgrade's answer cannot be copied. */
function unlessUpgrade(handler: MiddlewareHandler): MiddlewareHandler {
  return (context, next) =>
    context.req.header("upgrade") === undefined ? handler(context, next) : next();
}

export const crossOrigin = unlessUpgrade(allowAll);

/**
 * JSON that was asked for, in gzip where the client takes it: the runtime packs what the header says is packed. On
 * Cloudflare, and under wrangler, what stands before the Worker does that, and asks for gzip whoever asks.
 */
export const compressed = unlessUpgrade(async (context, next) => {
  await next();
  const { cf } = context.req.raw as { cf?: object };
  if (cf !== undefined && "colo" in cf) return;
  const accepted = context.req.header("accept-encoding") ?? "";
  const isJson = context.res.headers.get("content-type")?.startsWith("application/json");
  if (context.req.method !== "GET" || !isJson || !/\bgzip\b(?!;\s*q=0(\.0*)?\b)/i.test(accepted))
    return;
  context.res.headers.set("content-encoding", "gzip");
  context.res.headers.append("vary", "accept-encoding");
});
