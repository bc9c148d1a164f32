// Grants in the form that clients write: in the bodies of /v1/keys and /v1/tokens, and in a claim of tokens.
import * as z from "zod";
import { type Grant, ROLES, type Role } from "../core/access/grants.ts";
import {
  OPERATION_CODES,
  OPERATIONS_OF,
  type Operation,
  operationNamed,
  type ResourceType,
} from "../core/access/operations.ts";
import {
  MAX_GRANT_NAME_CHARS,
  MAX_GRANTS,
  MAX_GRANTS_BYTES,
  MAX_GROUPS,
  MAX_PRINCIPAL_CHARS,
  MAX_TOPICS,
} from "../core/limits.ts";
import { integer } from "./parse.ts";

const MAX_OPERATIONS = Object.keys(OPERATION_CODES).length;

/** Makes the schema of an operation on this type of resource, in any spelling of Kafka's tools. */
function operationOn(type: ResourceType) {
  const names = ["ALL", ...OPERATIONS_OF[type]];
  const message = `must be an operation on a ${type}: ${names.join(", ")}`;
  return z.string(message).transform((text, context): Operation => {
    const operation = operationNamed(text);
    if (operation !== null && names.includes(operation)) return operation;
    context.addIssue({ code: "custom", message });
    return z.NEVER;
  });
}

function operationsOn(type: ResourceType) {
  return z
    .array(operationOn(type))
    .min(1)
    .max(MAX_OPERATIONS)
    .transform((operations) => [...new Set(operations)]);
}

const name = z.string().max(MAX_GRANT_NAME_CHARS);
const pattern = z.union(
  [z.strictObject({ exact: name.min(1) }), z.strictObject({ prefix: name })],
  'must be {"exact": "a name"} or {"prefix": "the beginning of names"}',
);
const GRANT_RULE =
  'must be {"topics": {"exact" or "prefix": …}, "operations": […], "max"?: …}, the same with "groups", or {"cluster": […]}';

export const grantSchema = z.unknown().transform((value, context): Grant => {
  const kind = GRANT_KINDS.find(({ field }) => Object.hasOwn(Object(value), field));
  if (kind === undefined) {
    context.addIssue({ code: "custom", message: GRANT_RULE });
    return z.NEVER;
  }
  const parsed = kind.schema.safeParse(value);
  if (parsed.success) return parsed.data;
  for (const { path, message } of parsed.error.issues)
    context.addIssue({ code: "custom", path, message });
  return z.NEVER;
});

const GRANT_KINDS = [
  {
    field: "topics",
    schema: z.strictObject({
      topics: pattern,
      operations: operationsOn("topic"),
      max: integer(1, MAX_TOPICS).optional(),
    }),
  },
  {
    field: "groups",
    schema: z.strictObject({
      groups: pattern,
      operations: operationsOn("group"),
      max: integer(1, MAX_GROUPS).optional(),
    }),
  },
  { field: "cluster", schema: z.strictObject({ cluster: operationsOn("cluster") }) },
] as const;

/** The stored form in a socket, with the namespace in each grant, is bounded too (core/access/kept-caller.ts). */
export const grantsSchema = z
  .array(grantSchema)
  .max(MAX_GRANTS)
  .refine((grants) => sizeOf(grants) <= MAX_GRANTS_BYTES, {
    error: ({ input }) =>
      `must have at most ${MAX_GRANTS_BYTES} bytes as JSON, and have ${sizeOf(input as Grant[])}`,
  });

function sizeOf(grants: readonly Grant[]): number {
  return new TextEncoder().encode(JSON.stringify(grants)).length;
}

export const roleSchema = z.enum(Object.keys(ROLES) as [Role, ...Role[]]);

const PRINCIPAL_RULE =
  "must be 1 to 256 visible characters, with spaces only between them, such as alice or User:alice, and no other type than User";

/**
 * The names of the root and of callers without a credential. They are reserved, because the audit log could not
 * distinguish others with these names.
 */
const RESERVED: ReadonlySet<string> = new Set(["root", "anonymous"]);

/**
 * Characters that are invisible to a reader of the log. The braille blank is not among Unicode's ignorable characters.
 */
const UNSEEN = /[\p{Default_Ignorable_Code_Point}\u2800]/gu;
const TYPES = /^(?:user:\s*)+/;

/**
 * True for anything that looks like one of the broker's own names: in any case, with spaces around it, or with a
 * repeated type.
 */
export function isReserved(principal: string): boolean {
  const read = principal.replace(UNSEEN, "").trim().toLowerCase();
  return RESERVED.has(read.replace(TYPES, ""));
}

/**
 * No controls, formats, separators or invisible characters. So two different principals look different in the log, and
 * a line stays one line. Spaces are allowed between other characters.
 */
const PRINCIPAL =
  /^(?:User:|(?![A-Z][A-Za-z]*:))(?![: ])(?:[^\p{C}\p{Z}\p{Default_Ignorable_Code_Point}\u2800]| (?!$))+$/u;

/** A principal. Without a type it is a user, and gets the prefix `User:`. */
export const principalSchema = z
  .string()
  .min(1, PRINCIPAL_RULE)
  .max(MAX_PRINCIPAL_CHARS, PRINCIPAL_RULE)
  .regex(PRINCIPAL, PRINCIPAL_RULE)
  .transform((text) => (text.startsWith("User:") ? text : `User:${text}`))
  .refine((principal) => !isReserved(principal), {
    error: "must not look like root or ANONYMOUS, which are reserved",
  });
