// GET / and GET /openapi.json: where somebody who knows only the address goes on, as a page or as JSON, and the HTTP API,
// described by the schemas that validate it.
import { Hono } from "hono";
import type { Env } from "../../env.ts";
import { CONSOLE_PATH, DOCS_PATH, GROUPS_PATH, TOPICS_PATH } from "../../protocol/paths.ts";
import { accepts } from "./accept.ts";
import { textAnswer } from "./answer.ts";
import { apiDocument } from "./openapi-document.ts";
import { startAnswer } from "./start-page.ts";

export const openapi = new Hono<{ Bindings: Env }>()
  .get("/", async (context) => {
    if (!accepts(context.req.raw, "text/html")) return context.json(LINKS, 200, { vary: "accept" });
    const answer = await startAnswer(context);
    answer.headers.append("vary", "accept");
    return answer;
  })
  .get("/openapi.json", () => {
    documentText ??= JSON.stringify(apiDocument());
    return textAnswer(documentText, "application/json");
  });

/** Made once, because the schemas do not change. */
let documentText: string | null = null;

/** The places to continue from the bare address. */
const LINKS = {
  name: "rivulet",
  console: CONSOLE_PATH,
  docs: DOCS_PATH,
  openapi: "/openapi.json",
  health: "/health",
  topics: TOPICS_PATH,
  groups: GROUPS_PATH,
};
