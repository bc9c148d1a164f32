// [APK-7] `fetch` of this process: its responses are watched for secrets.
import { secretWatch } from "../support/secret-watch.ts";

/** Longer responses are records, or lists of thousands. */
const MAX_LENGTH = 100_000;

const { fetch } = globalThis;
globalThis.fetch = async (input, init) => {
  const response = await fetch(input, init);
  void note(input, init, response).catch(() => {}); // It was cut off, which is for its reader to handle.
  return response;
};

/** Reads JSON of a known length beside its reader. Other responses come bit by bit, and may never end. */
async function note(
  input: Parameters<typeof fetch>[0],
  init: RequestInit | undefined,
  response: Response,
): Promise<void> {
  const length = Number(response.headers.get("content-length") ?? Number.NaN);
  const isJson = response.headers.get("content-type")?.includes("json") === true;
  if (!isJson || !(length <= MAX_LENGTH)) return;
  const method = init?.method ?? (input instanceof Request ? input.method : "GET");
  const { pathname } = new URL(response.url);
  secretWatch.watchAnswer(method, pathname, await response.clone().text());
}
