/// <reference path="./console-module.d.ts" />
// /console: the web console, and /console/learn: the lesson. Their files hold no data, so whoever reaches the broker gets
// them. What they show comes from the HTTP API, which asks who calls.

import { FILES } from "rivulet:console";
import type { MiddlewareHandler } from "hono";
import { BrokerError } from "../../core/errors.ts";
import { CONSOLE_PATH } from "../../protocol/paths.ts";
import { textAnswer } from "./answer.ts";
import { problemResponse } from "./problem.ts";

type ConsoleFile = (typeof FILES)[number];

const ASSETS = `${CONSOLE_PATH}/assets/`;
const isPage = ({ type }: ConsoleFile) => type.startsWith("text/html");
const byName = (files: readonly ConsoleFile[]): ReadonlyMap<string, ConsoleFile> =>
  new Map(files.map((file) => [file.name, file]));
const PAGES = byName(FILES.filter(isPage));
const OTHERS = byName(FILES.filter((file) => !isPage(file)));

/**
 * [CON-2] Nothing runs but the script of the console, and it talks to this broker alone. Records are an attacker's bytes:
 * where a browser knows Trusted Types, no text becomes HTML either.
 */
const HEADERS: Readonly<Record<string, string>> = {
  "content-security-policy": [
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
  ].join("; "),
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "x-frame-options": "DENY",
  "cross-origin-opener-policy": "same-origin",
};

/** [CON-1] [LRN-1] Serves the files. Each path below /console that is none of theirs is a page of the console, which shows it. */
export const consoleFiles: MiddlewareHandler = async ({ req }) => {
  const { path } = req;
  if (req.method !== "GET" && req.method !== "HEAD") return wrongMethod(req.method, path);
  const file = path.startsWith(ASSETS)
    ? OTHERS.get(path.slice(ASSETS.length))
    : (PAGES.get(path.slice(CONSOLE_PATH.length + 1)) ?? PAGES.get(""));
  if (file === undefined) return noFile(path);
  const etag = `"${file.hash}"`;
  const isKnown = req.header("if-none-match")?.includes(etag) ?? false;
  const answer = isKnown ? new Response(null, { status: 304 }) : textAnswer(file.text, file.type);
  for (const [name, value] of Object.entries(HEADERS)) answer.headers.set(name, value);
  // The proxy or the runtime may pack it, so that the bytes differ.
  answer.headers.set("etag", `W/${etag}`);
  answer.headers.set(
    "cache-control",
    isPage(file) ? "no-store" : "public, max-age=31536000, immutable",
  );
  return answer;
};

function wrongMethod(method: string, path: string): Response {
  const detail = `there is no ${method} ${path}; it takes GET and HEAD`;
  const answer = problemResponse(new BrokerError("INVALID_REQUEST", detail), {}, 405);
  answer.headers.set("allow", "GET, HEAD");
  return answer;
}

/** Somebody has a page of another release. */
function noFile(path: string): Response {
  const detail = `there is no ${path} in this release; load ${CONSOLE_PATH} again`;
  return problemResponse(new BrokerError("INVALID_REQUEST", detail), {}, 404);
}
