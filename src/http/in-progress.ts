// Bodies in progress in this Worker, all requests together: parsed records take some twenty times their bytes,
// and an isolate has 128 MB. Beyond the bound a request is told to come back later.
import { BrokerError } from "../core/errors.ts";
import { MAX_REQUEST_BYTES_IN_PROGRESS, REQUEST_IN_PROGRESS_MS } from "../core/limits.ts";
import { isolate } from "../edge/isolate.ts";
import { discardBody } from "./body.ts";

/** For a body that does not say how long it is. */
const UNKNOWN_BYTES = 1024 * 1024;

/** Does what the request asks for, if there is room for its body. One at a time there always is. */
export async function whileRoom<T>(request: Request, action: () => Promise<T>): Promise<T> {
  const nowMs = Date.now();
  let inProgress = 0;
  for (const each of isolate.bodies) {
    // A cancelled request's code does not run to its end, so nothing took it off.
    if (nowMs - each.atMs > REQUEST_IN_PROGRESS_MS) isolate.bodies.delete(each);
    else inProgress += each.bytes;
  }
  const announced = request.headers.get("content-length");
  const bytes = announced === null ? UNKNOWN_BYTES : Number(announced);
  if (inProgress > 0 && inProgress + bytes > MAX_REQUEST_BYTES_IN_PROGRESS) {
    await discardBody(request);
    throw new BrokerError(
      "THROTTLING_QUOTA_EXCEEDED",
      `bodies of ${inProgress} bytes are in progress, with this one of ${bytes} the bound of ${MAX_REQUEST_BYTES_IN_PROGRESS} is passed`,
    );
  }
  const entry = { bytes, atMs: nowMs };
  isolate.bodies.add(entry);
  try {
    return await action();
  } finally {
    isolate.bodies.delete(entry);
  }
}
