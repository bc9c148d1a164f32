// The HTTP API as an OpenAPI document, made of the schemas that check it.
import * as z from "zod";
import { answersOf, OPERATIONS, type Operation } from "./operations.ts";
import * as responses from "./responses.ts";

export type JsonSchema = Readonly<Record<string, unknown>>;

export interface ApiParameter {
  readonly name: string;
  readonly in: "path" | "query";
  readonly required: boolean;
  readonly schema: JsonSchema;
  readonly example?: unknown;
}

/** The media types of a body, each with its schema if it has one. */
export type ApiContent = Readonly<Record<string, { schema?: JsonSchema; example?: unknown }>>;

export interface ApiOperation {
  readonly operationId: string;
  readonly tags: readonly [string];
  readonly summary: string;
  readonly parameters: readonly ApiParameter[];
  readonly requestBody?: { readonly required: boolean; readonly content: ApiContent };
  readonly responses: Readonly<Record<string, { description: string; content?: ApiContent }>>;
}

export interface ApiDocument {
  readonly tags: readonly { readonly name: string }[];
  readonly paths: Readonly<Record<string, Readonly<Record<string, ApiOperation>>>>;
}

/** The groups of operations, and the paths of each. The first that fits a path has it. */
const TAGS: readonly (readonly [string, RegExp])[] = [
  ["Groups", /^\/v1\/groups/],
  ["Records", /\/(records|batches|stream|offsets|state|socket)$|producers/],
  ["Topics", /^\/v1\/(topics|deleted-topics|configs)/],
  ["Access", /^\/v1\/(me|keys|tokens|audit)/],
  ["Costs and alerts", /^\/v1\/(costs|group-lags|alerts)|^\/metrics/],
  ["Repair", /^\/v1\/(doctor|recovery)/],
  ["Broker", /^/],
];
const SHOWN_TAGS = [
  "Topics",
  "Records",
  "Groups",
  "Access",
  "Costs and alerts",
  "Repair",
  "Broker",
];

function tagOf(path: string): string {
  return TAGS.find(([, paths]) => paths.test(path))?.[0] ?? "";
}

/** Examples of parameters that must be given. */
const EXAMPLES: Readonly<Record<string, unknown>> = {
  ...{ topic: "orders", partition: 0, group: "billing", alert: "billing-late" },
  ...{ id: "2f9c1b7a3d5e8046", before: 10, topics: "orders" },
};

/** Describes the input as a client writes it, before defaults and transformations. */
function jsonSchema(schema: z.ZodType): JsonSchema {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io: "input", unrepresentable: "any" });
  return rest;
}

function content(
  schema: z.ZodType | undefined,
  types: readonly string[] = [],
  example?: unknown,
): ApiContent {
  const shown = example === undefined ? {} : { example };
  return Object.fromEntries([
    ...(schema === undefined
      ? []
      : [["application/json", { schema: jsonSchema(schema), ...shown }]]),
    ...types.map((type) => [type, {}]),
  ]);
}

function parameters({ path, query }: Operation): ApiParameter[] {
  const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name = ""]) => ({
    name,
    in: "path" as const,
    required: true,
    schema: name === "partition" ? { type: "integer", minimum: 0 } : { type: "string" },
    example: EXAMPLES[name],
  }));
  const { properties = {}, required = [] } = (query === undefined ? {} : jsonSchema(query)) as {
    properties?: Record<string, JsonSchema>;
    required?: string[];
  };
  const inQuery = Object.entries(properties).map(([name, schema]) => {
    const isRequired = required.includes(name) && schema.default === undefined;
    return {
      // The entries of a record are separate parameters: header.NAME.
      ...(schema.type === "object" ? { style: "form", explode: true } : {}),
      name,
      in: "query" as const,
      required: isRequired,
      schema,
      ...(isRequired ? { example: EXAMPLES[name] } : {}),
    };
  });
  return [...inPath, ...inQuery];
}

/** Returns the name of an operation: `get-v1-topics-topic`. It is the anchor in the reference too. */
function idOf({ method, path }: Operation): string {
  return `${method}${path.replaceAll(/[^\w.-]+/g, "-")}`.replace(/-$/, "");
}

function operationJson(operation: Operation): ApiOperation {
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
    operationId: idOf(operation),
    tags: [tagOf(operation.path)],
    summary,
    parameters: parameters(operation),
    ...(hasBody
      ? { requestBody: { required: true, content: content(body, bodyTypes, operation.example) } }
      : {}),
    responses: {
      [status]: { description: summary, content: content(response, responseTypes) },
      ...Object.fromEntries([...others, ...problems]),
    },
  };
}

export function apiDocument(): ApiDocument {
  const paths: Record<string, Record<string, ApiOperation>> = {};
  for (const operation of OPERATIONS) {
    const ofPath = paths[operation.path] ?? {};
    paths[operation.path] = ofPath;
    ofPath[operation.method] = operationJson(operation);
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
    tags: SHOWN_TAGS.map((name) => ({ name })),
    paths,
    components: { schemas: { Problem: jsonSchema(responses.problem) } },
  } as ApiDocument;
}
