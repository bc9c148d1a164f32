/// <reference path="./docs-module.d.ts" />
// The page at the broker's address: its health, the addresses for clients, and links. Besides what /health reports, it shows only
// what the configuration makes public: the release, and the addresses for Kafka's clients.
import { FRAMES, VERSION } from "rivulet:docs";
import type { Context } from "hono";
import { html } from "hono/html";
import { type Env, isOpen } from "../../env.ts";
import { CONSOLE_PATH, DOCS_PATH, GROUPS_PATH, TOPICS_PATH } from "../../protocol/paths.ts";
import { failingObjects } from "../../storage-health.ts";
import { rootKeysOf } from "../access/mode.ts";
import { autoCreatesTopics } from "../kafka/broker-config.ts";
import { codeBlock, shellWord } from "./page-parts.ts";
import { fileAnswer, madePage } from "./site-files.ts";

/** [DOC-7] Answers a browser that asks for the address alone. */
export async function startAnswer(context: Context<{ Bindings: Env }>): Promise<Response> {
  const { env, req } = context;
  const { before, after } = FRAMES.start;
  const middle = await startPage(env, originOf(req.raw));
  return fileAnswer(context, await madePage(`${before}${middle}${after}`), "not");
}

/**
 * Returns the origin of a request as the page shows it. A proxy that ends TLS says so, and the page asks to send keys to this
 * address. The page's script then puts the address in the address bar in its place: see src/docs/own-address.ts.
 */
function originOf({ url, headers }: Request): string {
  const shown = new URL(url);
  const [scheme = ""] = (headers.get("x-forwarded-proto") ?? "").split(",");
  if (scheme.trim().toLowerCase() === "https") shown.protocol = "https:";
  return shown.origin;
}

async function startPage(env: Env, origin: string): Promise<string> {
  const failing = failingObjects();
  const page = html`<p class="state ${failing === 0 ? "healthy" : "failing"}">
    ${failing === 0 ? "Running and healthy" : `Storage failures: ${failing}`}</p>
    <h1>Rivulet ${VERSION}</h1>
    <p>A broker of logs, topics and consumer groups. Kafka’s clients can use it.</p>
    <ul class="doors">
    ${door(CONSOLE_PATH, "Console", "Topics, records, groups and lag in the browser")}
    ${door(`${CONSOLE_PATH}/learn`, "Lesson", "Consumer groups in ten minutes")}
    ${door(DOCS_PATH, "Documentation", "Guides and reference of this release")}
    ${door(`${DOCS_PATH}/api`, "HTTP API", "Every operation, with forms to try it")}
    </ul>
    ${isOpen(env) ? "" : keyNote(env)}
    <p class="own">The broker’s address, for the command line, HTTP and the SDK:</p>
    <div data-origin="${origin}">${address(origin)}</div>
    ${section("cli", "Command line", [
      html`<p>In a clone, or where the package is installed.</p>`,
      codeBlock(cliOf(env, origin)),
    ])}
    ${section("http", "HTTP", [codeBlock(httpOf(env, origin))])}
    ${section("sdk", "SDK", [
      html`<p>In a module of a project that <a href="${DOCS_PATH}/sdk#install">has the package</a>.</p>`,
      codeBlock(sdkOf(env, origin)),
    ])}
    ${section("kafka", "Kafka’s clients", kafkaParts(env, origin))}
    <p class="more">For programs: <a href="/openapi.json">OpenAPI</a>, <a href="/health">health</a>,
    <a href="${TOPICS_PATH}">topics</a> and <a href="${GROUPS_PATH}">groups</a> as JSON.</p>`;
  return String(await page);
}

function door(href: string, name: string, about: string) {
  return html`<li><a href="${href}"><strong>${name}</strong> <span>${about}</span></a></li>`;
}

type Html = ReturnType<typeof html>;

function section(id: string, name: string, parts: readonly Html[]) {
  return html`<section aria-labelledby="${id}"><h2 id="${id}">${name}</h2>${parts}</section>`;
}

/** An address that can be copied by itself. */
function address(text: string) {
  return html`<div class="code address"><code>${text}</code></div>`;
}

function keyNote(env: Env) {
  if (rootKeysOf(env).length === 0)
    return html`<div class="note warning"><p class="kind">This broker has no root key</p>
      <p>Until it has one, it refuses all requests for data: <code>npx wrangler secret put RIVULET_ROOT_KEY</code>, or
      <code>RIVULET_ROOT_KEY=… npm start</code>.</p></div>`;
  return html`<div class="note"><p class="kind">A key is needed</p>
    <p>To sign in, open the <a href="${CONSOLE_PATH}">console</a> and enter an API key, a token or the root’s key. Programs send it as
    <code>Authorization: Bearer …</code>; the examples below take it from <code>RIVULET_TOKEN</code>. The root’s key
    creates others: <code>npx rivulet keys create</code>.</p></div>`;
}

function cliOf(env: Env, origin: string): string {
  const token = isOpen(env) ? "" : " RIVULET_TOKEN=YOUR_KEY";
  return [
    `export RIVULET_URL=${shellWord(origin)}${token}`,
    "npx rivulet topics create hello",
    `echo '{"text":"Hello"}' | npx rivulet produce hello`,
    "npx rivulet consume hello --exit",
  ].join("\n");
}

function httpOf(env: Env, origin: string): string {
  const curl = isOpen(env) ? "curl" : 'curl -H "Authorization: Bearer $RIVULET_TOKEN"';
  const topics = `${origin}${TOPICS_PATH}`;
  return [
    `${curl} -d '{"name":"hello-http"}' ${shellWord(topics)}`,
    `${curl} -d '{"records":[{"value":"Hello"}]}' ${shellWord(`${topics}/hello-http/records`)}`,
    `${curl} ${shellWord(`${topics}/hello-http/partitions/0/records?offset=0`)}`,
  ].join("\n");
}

function sdkOf(env: Env, origin: string): string {
  const token = isOpen(env) ? "" : ", token: process.env.RIVULET_TOKEN";
  return [
    'import { Rivulet, stringSerde } from "rivulet";',
    "",
    `const rivulet = new Rivulet({ url: ${JSON.stringify(origin)}${token} });`,
    'await rivulet.admin.createTopic({ name: "hello-sdk" }).catch((error) => {',
    '  if (error.code !== "TOPIC_ALREADY_EXISTS") throw error;',
    "});",
    'await rivulet.producer.send("hello-sdk", [{ value: "Hello" }]);',
    'const options = { topic: "hello-sdk", from: "earliest", valueSerde: stringSerde };',
    "for await (const { offset, value } of await rivulet.reader(options)) {",
    "  console.log(offset, value);",
    "  break;",
    "}",
  ].join("\n");
}

/** The port of `rivulet kafka-bridge`, unless its user names another. */
const BRIDGE = "127.0.0.1:9092";

function kafkaParts(env: Env, origin: string): Html[] {
  const { KAFKA_ADVERTISE: advertised } = env;
  const isBridged = advertised === undefined || advertised === "";
  const addresses = isBridged ? BRIDGE : advertised;
  const example = codeBlock(kcatOf(env, origin, addresses));
  if (!isBridged) return [html`<p>The bootstrap servers:</p>`, address(addresses), example];
  return [
    html`<p>They connect to a bridge on their own machine. It listens at this address until Ctrl-C:</p>`,
    codeBlock(`npx rivulet --url ${shellWord(origin)} kafka-bridge`),
    ...[address(addresses), html`<p>Then, in another terminal:</p>`, example],
  ];
}

function kcatOf(env: Env, origin: string, addresses: string): string {
  const kcat = `kcat -b ${shellWord(addresses)}${loginOf(env)}`;
  return [
    autoCreatesTopics(env)
      ? `${kcat} -L`
      : `npx rivulet --url ${shellWord(origin)} topics create hello-kafka`,
    `echo Hello | ${kcat} -P -t hello-kafka`,
    `${kcat} -C -t hello-kafka -e`,
  ].join("\n");
}

/** The options with which kcat logs in, where it has to. */
function loginOf(env: Env): string {
  if (isOpen(env)) return "";
  const isTls = env.RIVULET_KAFKA_TLS === "1" || env.RIVULET_KAFKA_TLS_IN_FRONT === "1";
  const protocol = isTls ? "SASL_SSL" : "SASL_PLAINTEXT";
  return ` -X security.protocol=${protocol} -X sasl.mechanisms=SCRAM-SHA-256 -X sasl.username=KEY_ID -X sasl.password=KEY_SECRET`;
}
