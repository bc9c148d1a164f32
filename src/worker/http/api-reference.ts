// /docs/api: the HTTP API as a page, made of its OpenAPI document. It can be read without JavaScript; the script of the site adds a
// form to each operation that sends it (src/docs/try).
import { html } from "hono/html";
import { ERROR_DESCRIPTIONS } from "../../core/error-descriptions.ts";
import { ERRORS, type ErrorName } from "../../core/errors.ts";
import { type ApiContent, type ApiOperation, apiDocument } from "./openapi-document.ts";
import { codeBlock, heading, shellWord } from "./page-parts.ts";
import { boundsOf, schemaText } from "./schema-text.ts";

/** The address in the examples. The forms have the broker's own. */
const EXAMPLE_ORIGIN = "http://127.0.0.1:8787";

interface Described {
  readonly method: string;
  readonly path: string;
  readonly operation: ApiOperation;
}

/** Returns the page without its frame: the list of the operations' groups, and the operations. */
export function apiReference(): string {
  const { tags, paths } = apiDocument();
  const all = Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, operation]) => ({ method, path, operation })),
  );
  const common = commonErrors(all);
  const groups = tags.map(({ name }) => ({
    ...{ name, id: name.toLowerCase().replaceAll(" ", "-") },
    operations: all.filter(({ operation }) => operation.tags[0] === name),
  }));
  const contents = [...groups, { name: "Errors", id: "errors" }];
  return String(html`<details class="contents"><summary>On this page</summary>
    <nav aria-label="On this page"><ul>${contents.map(({ name, id }) => html`<li><a href="#${id}">${name}</a></li>`)}</ul></nav>
    </details>
    <main id="content" tabindex="-1"><article class="wide">
    <h1>HTTP API reference</h1>
    <p>
      Every operation, with the schemas that check it. Programs read the same from
      <a href="/openapi.json">/openapi.json</a>. <a href="/docs/protocol">Protocol</a> says what everything means.
    </p>
    <p>
      Bodies are JSON. An error is <code>application/problem+json</code> with Kafka’s name of the error in <code>code</code>.
      A closed broker needs a key or a token: <code>Authorization: Bearer …</code>. Any operation may fail with the
      <a href="#errors">common errors</a>.
    </p>
    <div id="credential"></div>
    ${groups.map(
      ({ name, id, operations }) => html`
        ${heading(id, name)}
        ${operations.map((each) => operationHtml(each, common))}`,
    )}
    ${heading("errors", "Errors")}
    <p>Any operation may answer with one of these.</p>
    ${errorTable([...common].map((error) => [ERRORS[error].httpStatus, error] as const))}
    </article></main>`);
}

/** Returns the errors of every operation that needs a credential. */
function commonErrors(all: readonly Described[]): ReadonlySet<ErrorName> {
  const asking = all.map(({ operation }) => errorsOf(operation).map(([, error]) => error));
  const [first = []] = asking.filter((errors) => errors.includes("SASL_AUTHENTICATION_FAILED"));
  const isCommon = (error: ErrorName) =>
    asking.every(
      (errors) => !errors.includes("SASL_AUTHENTICATION_FAILED") || errors.includes(error),
    );
  return new Set(first.filter(isCommon));
}

function errorsOf({ responses }: ApiOperation): (readonly [number, ErrorName])[] {
  return Object.entries(responses).flatMap(([status, { description, content = {} }]) =>
    "application/problem+json" in content
      ? description.split(", ").map((error) => [Number(status), error as ErrorName] as const)
      : [],
  );
}

function operationHtml({ method, path, operation }: Described, common: ReadonlySet<ErrorName>) {
  const { operationId, summary, parameters, requestBody, responses } = operation;
  const own = errorsOf(operation).filter(([, error]) => !common.has(error));
  const answers = Object.entries(responses).filter(
    ([, { content = {} }]) => !("application/problem+json" in content),
  );
  return html`<details class="operation">
    <summary><h3><span class="method ${method}">${method.toUpperCase()}</span> <code>${path}</code></h3> <span class="about">${summary}</span></summary>
    <div class="operation-body" id="${operationId}">
    ${parameters.length === 0 ? "" : parameterTable(operation)}
    ${requestBody === undefined ? "" : html`<h4>Body</h4>${contentHtml(requestBody.content)}`}
    ${answers.map(
      ([status, { description, content = {} }]) => html`
        <h4>Answer ${status}</h4>
        ${description === summary ? "" : html`<p>${description}</p>`}
        ${status === "101" ? html`<p>The connection becomes a WebSocket.</p>` : contentHtml(content)}`,
    )}
    ${own.length === 0 ? "" : html`<h4>Errors</h4>${errorTable(own)}`}
    <h4>Example</h4>
    ${exampleOf(method, path, operation)}
    </div>
    </details>`;
}

function parameterTable({ parameters }: ApiOperation) {
  return html`<h4>Parameters</h4>
    <div class="scroll" role="region" aria-label="Table: Parameters" tabindex="0"><table>
    <thead><tr><th scope="col">Name</th><th scope="col">In</th><th scope="col">Type</th><th scope="col">About</th></tr></thead>
    <tbody>${parameters.map(
      ({ name, in: place, required, schema }) => html`<tr>
        <td><code>${name}</code>${required ? "" : html` <small>optional</small>`}</td>
        <td>${place}</td><td><code>${schemaText(schema)}</code></td><td>${[schema.description, boundsOf(schema)].filter(Boolean).join(", ")}</td></tr>`,
    )}</tbody></table></div>`;
}

function contentHtml(content: ApiContent) {
  const types = Object.entries(content);
  if (types.length === 0) return html`<p>No body.</p>`;
  return types.map(([type, { schema }]) =>
    schema === undefined
      ? html`<p>${types.length > 1 ? "Or " : ""}<code>${type}</code></p>`
      : codeBlock(schemaText(schema)),
  );
}

function errorTable(errors: readonly (readonly [number, ErrorName])[]) {
  return html`<div class="scroll errors" role="region" aria-label="Table: Errors" tabindex="0"><table>
    <thead><tr><th scope="col">Status</th><th scope="col">Code</th><th scope="col">Meaning</th></tr></thead>
    <tbody>${errors.map(
      ([status, error]) =>
        html`<tr><td>${status}</td><td><code>${error}</code></td><td>${ERROR_DESCRIPTIONS[error]}</td></tr>`,
    )}</tbody></table></div>`;
}

/** Returns an example, and the place of the form that tries the operation, unless it opens a connection or takes bytes. */
function exampleOf(method: string, path: string, operation: ApiOperation) {
  const address = addressOf(path, operation);
  if (path.endsWith("/stream"))
    return html`<p>A page reads the records as they come; a program reads the same lines with <code>curl -N</code>. The same path opens a
      WebSocket: see <a href="/docs/protocol">Protocol</a>.</p>
      ${codeBlock(`const records = new EventSource(${JSON.stringify(address)});\nrecords.onmessage = ({ data }) => console.log(data);`)}`;
  if (/\/(consume|events)$/.test(path)) {
    const url = `${address.replace("http", "ws")}${path.endsWith("/consume") ? "?topics=orders" : ""}`;
    return html`<p>Any WebSocket client opens it. Messages are JSON: see <a href="/docs/protocol">Protocol</a>. On a closed broker
      the second argument has the token.</p>
      ${codeBlock(`const socket = new WebSocket(${JSON.stringify(url)}, ["rivulet.v1", "rivulet.token." + token]);\nsocket.onmessage = ({ data }) => console.log(data);`)}`;
  }
  if (path === "/kafka")
    return html`<p>Kafka’s clients reach it over TCP, through a bridge on their machine.</p>
      ${codeBlock(`npx rivulet --url ${EXAMPLE_ORIGIN} kafka-bridge`)}`;
  if (path.endsWith("/socket"))
    return html`<p>The SDK opens it by itself. <a href="/docs/protocol">Protocol</a> has its messages.</p>`;
  const { operationId, requestBody } = operation;
  const isBinary = requestBody !== undefined && !("application/json" in requestBody.content);
  return html`${codeBlock(curlOf(method, path, operation))}
    ${isBinary ? "" : html`<div class="try" data-operation="${operationId}" data-method="${method}" data-path="${path}"></div>`}`;
}

/** Returns an address of the operation, with examples of what must be given. */
function addressOf(path: string, { parameters }: ApiOperation): string {
  let address = path;
  const query = new URLSearchParams();
  for (const { name, in: place, example, required } of parameters) {
    if (place === "path")
      address = address.replace(`{${name}}`, encodeURIComponent(String(example)));
    else if (required) query.set(name, String(example));
  }
  return `${EXAMPLE_ORIGIN}${address}${query.size === 0 ? "" : `?${query}`}`;
}

/** Returns a command that sends the operation, as somebody would type it. */
function curlOf(method: string, path: string, operation: ApiOperation): string {
  const [[type, { example }] = ["", {}]] = Object.entries<{ example?: unknown }>(
    operation.requestBody?.content ?? {},
  );
  const body =
    example === undefined ? ["--data-binary", "@FILE"] : ["-d", shellWord(JSON.stringify(example))];
  const isImplied = method === "get" || (method === "post" && type !== "");
  return [
    "curl",
    ...(isImplied ? [] : ["-X", method.toUpperCase()]),
    ...(type === "" ? [] : ["-H", shellWord(`Content-Type: ${type}`), ...body]),
    shellWord(addressOf(path, operation)),
  ].join(" ");
}
