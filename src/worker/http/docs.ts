/// <reference path="./docs-module.d.ts" />
// /docs: the documentation of this release. Its files hold no data, so whoever reaches the broker gets them.
import { FILES, FRAMES } from "rivulet:docs";
import type { MiddlewareHandler } from "hono";
import { DOCS_PATH } from "../../protocol/paths.ts";
import { accepts } from "./accept.ts";
import { apiReference } from "./api-reference.ts";
import {
  byName,
  fileAnswer,
  madePage,
  missingAnswer,
  noFile,
  type SiteFile,
  wrongMethod,
} from "./site-files.ts";

const NAMED = byName(FILES);
const ASSETS = "assets/";
const API = "api";

/** [DOC-2] [DOC-3] Serves the pages, their assets and their pictures. */
export const docsFiles: MiddlewareHandler = async (context) => {
  const refusal = wrongMethod(context);
  if (refusal !== null) return refusal;
  const path = context.req.path.slice(DOCS_PATH.length + 1);
  const name = path.replace(/^([^/]+)\/$/, "$1"); // A page may be asked for with a slash, as the first one may.
  const isAsset = path.startsWith(ASSETS);
  const file = name === API ? await apiFile() : NAMED.get(name);
  if (file !== undefined) return fileAnswer(context, file, isAsset ? "for-good" : "ask-again");
  if (isAsset) return noFile(context, DOCS_PATH);
  const answer = accepts(context.req.raw, "text/html")
    ? await missing()
    : noFile(context, DOCS_PATH);
  answer.headers.append("vary", "accept");
  return answer;
};

/** The page of the HTTP API. It is made once, because the schemas do not change. */
let api: SiteFile | null = null;

async function apiFile(): Promise<SiteFile> {
  const { before, after } = FRAMES.api;
  api ??= await madePage(`${before}${apiReference()}${after}`);
  return api;
}

async function missing(): Promise<Response> {
  const { before, after } = FRAMES.missing;
  const html = `<h1>There is no such page</h1>
<p>This release has no page at this address. The search and the <a href="${DOCS_PATH}">list of pages</a> show what there is.</p>`;
  return missingAnswer(await madePage(`${before}${html}${after}`));
}
