// GET /openapi.json: the HTTP API, described by the schemas that validate it, and a page that shows it.
import { Hono } from "hono";
import { html } from "hono/html";
import * as z from "zod";
import type { Env } from "../../env.ts";
import { CONSOLE_PATH, GROUPS_PATH, TOPICS_PATH } from "../../protocol/paths.ts";
import { accepts } from "./accept.ts";
import { textAnswer } from "./answer.ts";
import { answersOf, OPERATIONS, type Operation } from "./operations.ts";
import * as responses from "./responses.ts";

type JsonSchema = Record<string, unknown>;

/** Describes the input as a client writes it, before defaults and transformations. */
function jsonSchema(schema: z.ZodType): JsonSchema {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io: "input", unrepresentable: "any" });
  return rest;
}

function content(schema: z.ZodType | undefined, types: readonly string[] = []) {
  return Object.fromEntries([
    ...(schema === undefined ? [] : [["application/json", { schema: jsonSchema(schema) }]]),
    ...types.map((type) => [type, {}]),
  ]);
}

function parameters({ path, query }: Operation) {
  const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
    name,
    in: "path",
    required: true,
    schema: name === "partition" ? { type: "integer", minimum: 0 } : { type: "string" },
  }));
  const { properties = {}, required = [] } = (query === undefined ? {} : jsonSchema(query)) as {
    properties?: Record<string, JsonSchema>;
    required?: string[];
  };
  const inQuery = Object.entries(properties).map(([name, schema]) => ({
    // The entries of a record are separate parameters: header.NAME.
    ...(schema.type === "object" ? { style: "form", explode: true } : {}),
    name,
    in: "query",
    required: required.includes(name) && schema.default === undefined,
    schema,
  }));
  return [...inPath, ...inQuery];
}

function operationJson(operation: Operation) {
  const { summary, body, bodyTypes, status, otherStatuses, response, responseTypes } = operation;
  const hasBody = body !== undefined || bodyTypes !== undefined;
  const problems = answersOf(operation)
    .filter(({ errors }) => errors.length > 0)
    .map(({ status: code, errors }) => [
      code,
      {
        description: errors.join(", "),
        content: {
          "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } },
        },
      },
    ]);
  const others = Object.entries(otherStatuses ?? {}).map(([code, description]) => [
    code,
    { description, ...(code === "101" ? {} : { content: content(response, responseTypes) }) },
  ]);
  return {
    summary,
    parameters: parameters(operation),
    ...(hasBody ? { requestBody: { required: true, content: content(body, bodyTypes) } } : {}),
    responses: {
      [status]: { description: summary, content: content(response, responseTypes) },
      ...Object.fromEntries([...others, ...problems]),
    },
  };
}

function document() {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const operation of OPERATIONS) {
    paths[operation.path] ??= {};
    Object.assign(paths[operation.path] as object, {
      [operation.method]: operationJson(operation),
    });
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "Rivulet",
      version: "1",
      description:
        "A Kafka-compatible log broker. WebSockets and the meaning of everything: PROTOCOL.md.",
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    paths,
    components: { schemas: { Problem: jsonSchema(responses.problem) } },
  };
}

export const openapi = new Hono<{ Bindings: Env }>()
  .get("/", async (context) => {
    if (!accepts(context.req.raw, "text/html")) return context.json(LINKS, 200, { vary: "accept" });
    startText ??= String(await startPage());
    const answer = textAnswer(startText, "text/html; charset=UTF-8");
    answer.headers.append("vary", "accept");
    return answer;
  })
  .get("/openapi.json", () => {
    documentText ??= JSON.stringify(document());
    return textAnswer(documentText, "application/json");
  })
  .get("/docs", async () => {
    pageText ??= String(await page());
    return textAnswer(pageText, "text/html; charset=UTF-8");
  });

/** Made once, because the schemas do not change. */
let documentText: string | null = null;
let pageText: string | null = null;
let startText: string | null = null;

/** Where somebody who knows only the address goes on. */
const LINKS = {
  name: "rivulet",
  console: CONSOLE_PATH,
  docs: "/docs",
  openapi: "/openapi.json",
  health: "/health",
  topics: TOPICS_PATH,
  groups: GROUPS_PATH,
};

function startPage() {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width" />
        <title>Rivulet</title>
        <style>
          body { font: 16px/1.5 system-ui, sans-serif; max-width: 40rem; margin: 2rem auto; padding: 0 1rem; }
        </style>
      </head>
      <body>
        <h1>Rivulet</h1>
        <p>This is a broker of logs that Kafka's clients can use. README.md, in the project's folder, says how.</p>
        <ul>
          <li><a href="${CONSOLE_PATH}">The console</a></li>
          <li><a href="/docs">The HTTP API</a>, for programs <a href="/openapi.json">as OpenAPI</a></li>
          <li><a href="/health">Its health</a></li>
          <li><a href="${TOPICS_PATH}">Topics</a> and <a href="${GROUPS_PATH}">groups</a></li>
        </ul>
      </body>
    </html>`;
}

function page() {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width" />
        <title>Rivulet: HTTP API</title>
        <style>
          body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
          details { border-top: 1px solid #ddd; padding: 0.5rem 0; }
          summary { cursor: pointer; }
          code, pre { font: 14px/1.4 ui-monospace, monospace; }
          pre { background: #f6f6f6; padding: 0.75rem; overflow: auto; }
          b { display: inline-block; min-width: 4.5rem; }
          .about { color: #555; }
        </style>
      </head>
      <body>
        <h1>Rivulet: HTTP API</h1>
        <p>
          Errors are <code>application/problem+json</code> with Kafka's name in <code>code</code>. For
          programs: <a href="/openapi.json">/openapi.json</a>.
        </p>
        ${OPERATIONS.map(operationHtml)}
      </body>
    </html>`;
}

function operationHtml(operation: Operation) {
  const { method, path, summary, body, status, response } = operation;
  const errors = new Set(answersOf(operation).flatMap((each) => each.errors));
  const inQuery = parameters(operation).filter((each) => each.in === "query");
  const block = (title: string, schema: z.ZodType | undefined) =>
    schema === undefined
      ? ""
      : html`<p>${title}</p>
          <pre>${JSON.stringify(jsonSchema(schema), null, 2)}</pre>`;
  return html`<details id="${method} ${path}">
    <summary><b>${method.toUpperCase()}</b> <code>${path}</code> <span class="about">${summary}</span></summary>
    ${
      inQuery.length === 0
        ? ""
        : html`<p>Query</p>
            <pre>${inQuery.map(({ name, schema }) => `${name}: ${JSON.stringify(schema)}`).join("\n")}</pre>`
    }
    ${block("Body", body)} ${block(`Answer (${status})`, response)}
    <p>Errors: ${[...errors].join(", ")}</p>
  </details>`;
}
