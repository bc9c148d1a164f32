// Serves files that lie in the bundle, and pages that are made once, to whoever reaches the broker: the console and the
// documentation. They hold no data.
import type { Context } from "hono";
import { BrokerError } from "../../core/errors.ts";
import { textAnswer } from "./answer.ts";
import { problemResponse } from "./problem.ts";

/** A file as it is served. Its hash is that of its text. */
export interface SiteFile {
  readonly type: string;
  readonly text: string;
  readonly hash: string;
}

/** The time for which a browser keeps a file: for good if its name has its hash, until it has asked again, or not at all. */
export type Keeping = "for-good" | "ask-again" | "not";

const CACHE_CONTROL: Readonly<Record<Keeping, string>> = {
  "for-good": "public, max-age=31536000, immutable",
  "ask-again": "no-cache",
  not: "no-store",
};

/**
 * [CON-2] [DOC-4] Nothing runs but the site's own scripts, and they talk to this broker alone. Records are an attacker's
 * bytes: where a browser knows Trusted Types, no text becomes HTML either.
 */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self' data:",
  "frame-ancestors 'none'",
  "base-uri 'none'",
  "form-action 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join("; ");

/** A picture has a style of its own, and nothing else. */
const PICTURE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";
const PICTURE = "image/svg+xml";

const HEADERS: Readonly<Record<string, string>> = {
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "x-frame-options": "DENY",
  "cross-origin-opener-policy": "same-origin",
};

/** Answers with a file, or with 304 if the browser has it. */
export function fileAnswer({ req }: Context, file: SiteFile, keeping: Keeping): Response {
  const isKnown = hasTag(req.header("if-none-match"), file.hash);
  const answer = isKnown ? new Response(null, { status: 304 }) : textAnswer(file.text, file.type);
  protect(answer, file);
  // The proxy or the runtime may compress it, so that the bytes differ.
  answer.headers.set("etag", `W/"${file.hash}"`);
  answer.headers.set("cache-control", CACHE_CONTROL[keeping]);
  return answer;
}

/** Answers with a page that stands for one that does not exist. */
export function missingAnswer(page: SiteFile): Response {
  const { body, headers } = textAnswer(page.text, page.type);
  const answer = new Response(body, { status: 404, headers });
  protect(answer, page);
  answer.headers.set("cache-control", CACHE_CONTROL.not);
  return answer;
}

function protect({ headers }: Response, { type }: SiteFile): void {
  headers.set("content-security-policy", type === PICTURE ? PICTURE_POLICY : POLICY);
  for (const [name, value] of Object.entries(HEADERS)) headers.set(name, value);
}

const TAGS = /(?:^|,)\s*(?:W\/)?"([^"]*)"\s*(?=,|$)/g;

/** True if an If-None-Match header names this tag, as weak or as strong, or is `*`, which any file meets. */
function hasTag(header: string | undefined, tag: string): boolean {
  if (header === undefined) return false;
  return (
    header.trim() === "*" || Array.from(header.matchAll(TAGS), ([, each]) => each).includes(tag)
  );
}

/** Returns the refusal of a method that files do not take, or null. */
export function wrongMethod({ req }: Context): Response | null {
  const { method, path } = req;
  if (method === "GET" || method === "HEAD") return null;
  const detail = `there is no ${method} ${path}; it takes GET and HEAD`;
  const answer = problemResponse(new BrokerError("INVALID_REQUEST", detail), {}, 405);
  answer.headers.set("allow", "GET, HEAD");
  return answer;
}

/** Answers somebody who has a page of another release. `again` is the page to load. */
export function noFile({ req }: Context, again: string): Response {
  const detail = `there is no ${req.path} in this release; load ${again} again`;
  const answer = problemResponse(new BrokerError("INVALID_REQUEST", detail), {}, 404);
  answer.headers.set("cache-control", CACHE_CONTROL.not);
  return answer;
}

export function byName<File extends { readonly name: string }>(
  files: readonly File[],
): ReadonlyMap<string, File> {
  return new Map(files.map((file) => [file.name, file]));
}

/** Returns a page that the Worker has made. */
export async function madePage(text: string): Promise<SiteFile> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  const hash = new Uint8Array(digest).toHex().slice(0, 16);
  return { type: "text/html; charset=utf-8", text, hash };
}
