/// <reference path="./docs-module.d.ts" />
// /docs: the documentation of this release. Its files hold no data, so whoever reaches the broker gets them.
import { FILES, FRAMES } from "rivulet:docs";
import type { Context, MiddlewareHandler } from "hono";
import { DOCS_PATH } from "../../protocol/paths.ts";
import { accepts } from "./accept.ts";
import { apiReference } from "./api-reference.ts";
import { byName, fileAnswer, madePage, noFile, type SiteFile, wrongMethod } from "./site-files.ts";

const NAMED = byName(FILES);
const ASSETS = "assets/";
const API = "api";

/** [DOC-2] [DOC-3] Serves the pages, their assets and their pictures. */
export const docsFiles: MiddlewareHandler = async (context) => {
  const refusal = wrongMethod(context);
  if (refusal !== null) return refusal;
  const name = context.req.path.slice(DOCS_PATH.length + 1);
  const isAsset = name.startsWith(ASSETS);
  const file = name === API ? await apiFile() : NAMED.get(name);
  if (file !== undefined) return fileAnswer(context, file, isAsset ? "for-good" : "ask-again");
  return isAsset || !accepts(context.req.raw, "text/html")
    ? noFile(context, DOCS_PATH)
    : await missing(context);
};

/** The page of the HTTP API. It is made once, because the schemas do not change. */
let api: SiteFile | null = null;

async function apiFile(): Promise<SiteFile> {
  const { before, after } = FRAMES.api;
  api ??= await madePage(`${before}${apiReference()}${after}`);
  return api;
}

async function missing(context: Context): Promise<Response> {
  const { before, after } = FRAMES.missing;
  const html = `<h1>There is no such page</h1>
<p>This release has no page at this address. The search and the <a href="${DOCS_PATH}">list of pages</a> show what there is.</p>`;
  const answer = fileAnswer(context, await madePage(`${before}${html}${after}`), "not");
  return new Response(answer.body, { status: 404, headers: answer.headers });
}
