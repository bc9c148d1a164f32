// Sends a request that somebody has put together, and says what it would be as a command.
import { isJsonTree, jsonTokens } from "../../console/json-tokens.ts";

export interface TriedRequest {
  readonly method: string;
  /** The path with its query. */
  readonly path: string;
  readonly body: string | null;
  readonly contentType: string;
}

export interface TriedAnswer {
  readonly status: number;
  readonly statusText: string;
  readonly headers: readonly (readonly [string, string])[];
  /** The text, or null if the body is not text. */
  readonly text: string | null;
  readonly bytes: number;
  /** True if there is more than was read. */
  readonly isCut: boolean;
  readonly ms: number;
}

/** The bytes of an answer that are shown. */
export const MAX_SHOWN_BYTES = 65_536;

/** Fills in the path's parameters, and puts the others behind it. An empty one is left out. */
export function pathOf(
  template: string,
  inPath: Readonly<Record<string, string>>,
  inQuery: Readonly<Record<string, string>>,
): string {
  const path = template.replace(/\{(\w+)\}/g, (_, name: string) =>
    encodeURIComponent(inPath[name] ?? ""),
  );
  const given = Object.entries(inQuery).filter(([, value]) => value !== "");
  return given.length === 0 ? path : `${path}?${new URLSearchParams(given)}`;
}

/** Returns the command that sends the same request. It takes the credential from the environment. */
export function curlOf(origin: string, request: TriedRequest, hasCredential: boolean): string {
  const { method, path, body, contentType } = request;
  return [
    "curl",
    ...(method === "GET" ? [] : ["-X", method]),
    ...(hasCredential ? ['-H "Authorization: Bearer $RIVULET_TOKEN"'] : []),
    ...(body === null
      ? []
      : ["-H", quoted(`Content-Type: ${contentType}`), "--data-raw", quoted(onOneLine(body))]),
    quoted(`${origin}${path}`),
  ].join(" ");
}

/** Takes the space between the parts of JSON out. Numbers stay as they are written. */
function onOneLine(body: string): string {
  if (!isJsonTree(body)) return body;
  const parts = jsonTokens(body).filter(({ kind }) => kind !== "space");
  return parts.map(({ text }) => text).join("");
}

/** Quotes a text for a POSIX shell. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** Sends the request, and reads the beginning of a long answer. @throws Error if there is no answer, or it was stopped */
export async function send(
  { method, path, body, contentType }: TriedRequest,
  credential: string,
  stop: AbortSignal,
): Promise<TriedAnswer> {
  const start = performance.now();
  const answer = await fetch(path, {
    ...{ method, signal: stop, cache: "no-store" },
    headers: {
      ...(body === null ? {} : { "content-type": contentType }),
      ...(credential === "" ? {} : { authorization: `Bearer ${credential}` }),
    },
    ...(body === null ? {} : { body }),
  });
  const { bytes, isCut } = await readBeginning(answer);
  const ms = performance.now() - start;
  const type = answer.headers.get("content-type") ?? "";
  const isText = /^(text\/|application\/([\w.+-]*json|x-ndjson|openmetrics-text))/.test(type);
  return {
    ...{ status: answer.status, statusText: answer.statusText, headers: [...answer.headers] },
    text: isText || bytes.length === 0 ? new TextDecoder().decode(bytes) : null,
    ...{ bytes: bytes.length, isCut, ms },
  };
}

async function readBeginning({ body }: Response): Promise<{ bytes: Uint8Array; isCut: boolean }> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  const reader = body?.getReader();
  while (reader !== undefined && length <= MAX_SHOWN_BYTES) {
    const { done, value } = await reader.read();
    if (done) break;
    chunks.push(value);
    length += value.length;
  }
  const isCut = length > MAX_SHOWN_BYTES;
  if (isCut) await reader?.cancel();
  const bytes = new Uint8Array(length);
  let place = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, place);
    place += chunk.length;
  }
  return { bytes: bytes.subarray(0, MAX_SHOWN_BYTES), isCut };
}
