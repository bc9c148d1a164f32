// Requests for which the SDK has no method.
import { brokerError, type Fetch, HttpClient, parseJson } from "../admin/http.ts";
import { BrokerError, ConnectionError } from "../sdk/index.ts";
import { tokenFetch } from "../sdk/token.ts";
import type { GlobalOptions } from "./context.ts";

const TIMEOUT_MS = 30_000;

const plain: Fetch = (url, init) => fetch(url, init as RequestInit);

export function httpOf(global: GlobalOptions): HttpClient {
  return new HttpClient(global.url, fetchWith(global));
}

function fetchWith({ token }: GlobalOptions): Fetch {
  return token === undefined ? plain : tokenFetch(plain, token);
}

/** Gets an answer that is not JSON. @throws BrokerError, ConnectionError */
export async function textAt(global: GlobalOptions, path: string): Promise<string> {
  const { url } = global;
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  let answer: { readonly ok: boolean; readonly status: number };
  let text: string;
  try {
    const response = await fetchWith(global)(new URL(path, url).href, {
      method: "GET",
      headers: {},
      signal,
    });
    answer = response;
    text = await response.text();
  } catch (error) {
    throw new ConnectionError(`no answer from ${url}: ${(error as Error).message}`, {
      cause: error,
    });
  }
  if (answer.ok) return text;
  const problem = brokerError(parseJson(text));
  throw problem ?? new ConnectionError(`HTTP ${answer.status}: not a Rivulet broker`);
}

/**
 * Returns null if the broker refuses or cannot answer: without the rights, in an older release, or for an error of its own.
 * @throws ConnectionError if there is no broker
 */
export async function ifAnswered<T>(answer: Promise<T>): Promise<T | null> {
  try {
    return await answer;
  } catch (error) {
    const isUnknown = error instanceof ConnectionError && /^HTTP 404\b/.test(error.message);
    if (error instanceof BrokerError || isUnknown) return null;
    throw error;
  }
}
