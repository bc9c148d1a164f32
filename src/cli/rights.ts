// The rights and quotas of keys and tokens, as options name them.
//
//   topic:orders:read,write      this topic            topic-prefix:orders.:read     all topics that begin with orders.
//   group:billing:read           this group            group-prefix::read            all groups
//   cluster:describe,alter       the cluster
import { InvalidArgumentError, Option } from "commander";
import { MAX_BUDGET_DOLLARS } from "../core/limits.ts";
import {
  type Grant,
  OPERATIONS_OF,
  type Operation,
  operationNamed,
  type ResourceType,
  ROLES,
  type Role,
} from "../sdk/access.ts";
import type { Quota, Rights } from "../sdk/index.ts";
import type { Command } from "./command.ts";
import { parseJson, UsageError } from "./context.ts";

export interface RightsOptions {
  readonly role?: Role;
  readonly grant?: readonly Grant[];
  readonly grants?: readonly Grant[];
}

export const GRANTS_HELP = `A grant is topic:NAME:OPERATIONS, topic-prefix:PREFIX:OPERATIONS, the same with group, or cluster:OPERATIONS. \
An empty prefix means all names. OPERATIONS are Kafka's, with commas between them:
${(["topic", "group", "cluster"] as const).map((type) => `  ${type.padEnd(8)} ${lowerCase(["ALL", ...OPERATIONS_OF[type]])}`).join("\n")}`;

/** Adds the options that name the rights of a key or a token. */
export function addRights(command: Command): Command {
  return command
    .addOption(
      new Option("--role <name>", "the grants of a role on all topics and groups").choices(
        Object.keys(ROLES),
      ),
    )
    .option("--grant <grant>", "a grant such as topic:orders:read; may be repeated", collectGrant)
    .option("--grants <json>", "all grants as JSON, as the HTTP API takes them", jsonGrants);
}

/** Returns the rights that the options name, or null if they name none. @throws UsageError */
export function rightsOf({ role, grant, grants }: RightsOptions): Rights | null {
  const given = [role, grant, grants].filter((each) => each !== undefined);
  if (given.length > 1) throw new UsageError("give --role, --grant or --grants, not several");
  if (role !== undefined) return { role };
  const all = grant ?? grants;
  return all === undefined ? null : { grants: all };
}

export interface QuotaOptions {
  readonly producerByteRate?: number;
  readonly consumerByteRate?: number;
  readonly requestRate?: number;
  readonly connections?: number;
  readonly dollarsPerDay?: number;
}

/** Adds the options that name the quota of a key or a token. */
export function addQuota(command: Command): Command {
  return command
    .option(
      "--producer-byte-rate <bytes>",
      "bytes that it may produce a second (default: no bound)",
      positive,
    )
    .option(
      "--consumer-byte-rate <bytes>",
      "bytes that it may read a second (default: no bound)",
      positive,
    )
    .option(
      "--request-rate <number>",
      "requests that it may send a second (default: no bound)",
      positive,
    )
    .option(
      "--connections <number>",
      "connections that it may have at a time (default: no bound)",
      positive,
    )
    .option(
      "--dollars-per-day <dollars>",
      "dollars that its requests may cost in a day of UTC (default: no bound)",
      dollars,
    );
}

/** Returns the quota that the options name, or nothing if they name none. */
export function quotaOf(options: QuotaOptions): { quota?: Quota } {
  const { producerByteRate, consumerByteRate, requestRate, connections, dollarsPerDay } = options;
  const rates = { producerByteRate, consumerByteRate, requestRate };
  const given = Object.entries({ ...rates, connections, dollarsPerDay });
  const quota = Object.fromEntries(given.filter(([, bound]) => bound !== undefined));
  return Object.keys(quota).length === 0 ? {} : { quota };
}

/** Shows a quota in the words of the options. */
export function quotaText(quota: Quota): string {
  const words = (field: string) => field.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  return Object.entries(quota)
    .map(([field, bound]) => `${words(field)} ${bound}`)
    .join(", ");
}

function positive(text: string): number {
  const number = Number(text);
  if (Number.isSafeInteger(number) && number > 0) return number;
  throw new InvalidArgumentError("It must be a whole number above 0.");
}

function dollars(text: string): number {
  const number = Number(text);
  if (number > 0 && number <= MAX_BUDGET_DOLLARS) return number;
  throw new InvalidArgumentError(`It must be dollars above 0, up to ${MAX_BUDGET_DOLLARS}.`);
}

const GRANT = /^(?:(topic|group)(-prefix)?:(.*)|(cluster)):([^:]+)$/s;

/** Parses a grant. The name of a group may have colons. */
export function parseGrant(text: string): Grant {
  const [, kind, isPrefix, name = "", cluster, listed = ""] = GRANT.exec(text) ?? [];
  if (kind === undefined && cluster === undefined)
    throw new InvalidArgumentError(
      "It must be topic:NAME:OPERATIONS, topic-prefix:PREFIX:OPERATIONS, the same with group, or cluster:OPERATIONS.",
    );
  if (kind === undefined) return { cluster: operationsIn(listed, "cluster") };
  if (isPrefix === undefined && name === "")
    throw new InvalidArgumentError(`It names no ${kind}; ${kind}-prefix::${listed} means all.`);
  const pattern = isPrefix === undefined ? { exact: name } : { prefix: name };
  return kind === "topic"
    ? { topics: pattern, operations: operationsIn(listed, "topic") }
    : { groups: pattern, operations: operationsIn(listed, "group") };
}

/** Writes a grant as the command line takes it. */
export function grantText(grant: Grant): string {
  if ("cluster" in grant) return `cluster:${lowerCase(grant.cluster)}`;
  const [kind, pattern] = "topics" in grant ? ["topic", grant.topics] : ["group", grant.groups];
  const name = "exact" in pattern ? `:${pattern.exact}` : `-prefix:${pattern.prefix}`;
  const max = grant.max === undefined ? "" : ` (at most ${grant.max})`;
  return `${kind}${name}:${lowerCase(grant.operations)}${max}`;
}

/** Parses the name of an operation on this kind of resource. */
export function parseOperation(text: string, type: ResourceType): Operation {
  const operation = operationNamed(text);
  const known = ["ALL", ...OPERATIONS_OF[type]];
  if (operation !== null && known.includes(operation)) return operation;
  throw new InvalidArgumentError(
    `${text} is not an operation on a ${type}, there are ${lowerCase(known)}.`,
  );
}

function operationsIn(listed: string, type: ResourceType): Operation[] {
  return listed.split(",").map((text) => parseOperation(text.trim(), type));
}

function lowerCase(operations: readonly string[]): string {
  return operations.join(",").toLowerCase();
}

function collectGrant(text: string, previous: readonly Grant[] = []): readonly Grant[] {
  return [...previous, parseGrant(text)];
}

/** The broker checks them. */
function jsonGrants(text: string): readonly Grant[] {
  const grants = parseJson(text, "--grants");
  if (!Array.isArray(grants)) throw new UsageError("--grants is JSON, but not an array");
  return grants;
}
