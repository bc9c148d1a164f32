// The header Idempotency-Key. A key that cannot be honored is refused, because its sender relies on it.
import type { MiddlewareHandler } from "hono";
import { BrokerError, preview } from "../../core/errors.ts";
import { TOPICS_PATH } from "../../protocol/paths.ts";

const HEADER = "idempotency-key";

/** The methods that change nothing. */
const READS = ["GET", "HEAD", "OPTIONS"];
const PRODUCE = new RegExp(`^${TOPICS_PATH}/[^/]+/records$`);

/** Returns the request's idempotency key, if any. */
export function idempotencyKeyOf(request: Request): string | undefined {
  return request.headers.get(HEADER) ?? undefined;
}

/** [KEY-1] @throws BrokerError INVALID_REQUEST if the request has a key */
export function assertNoIdempotencyKey(request: Request, reason: string): void {
  const key = idempotencyKeyOf(request);
  if (key === undefined) return;
  throw new BrokerError("INVALID_REQUEST", `Idempotency-Key: ${preview(key)} ${reason}`);
}

/**
 * [KEY-1] Refuses a key on other requests. Of the requests that change something, only producing records honors
 * a key.
 */
export const keysOnlyForRecords: MiddlewareHandler = async ({ req: { raw: request } }, next) => {
  const { method } = request;
  const { pathname } = new URL(request.url);
  if (!READS.includes(method) && !(method === "POST" && PRODUCE.test(pathname))) {
    const reason = `is supported only for POST ${TOPICS_PATH}/:topic/records, not for ${method} ${preview(pathname)}; leave it out`;
    assertNoIdempotencyKey(request, reason);
  }
  await next();
};
