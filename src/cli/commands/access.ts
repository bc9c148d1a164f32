// rivulet whoami: who the caller is. rivulet access check: what a caller may do.
import { isAllowed, type Resource, whatIsMissing } from "../../sdk/access.ts";
import type { CallerInfo } from "../../sdk/index.ts";
import { whole } from "../answer.ts";
import type { Command } from "../command.ts";
import { connect, type GlobalOptions, print, UsageError } from "../context.ts";
import { plain } from "../plain.ts";
import { parseOperation } from "../rights.ts";
import { boundsText, grantsText } from "./keys.ts";

interface CheckOptions {
  readonly as?: string;
  readonly topic?: string;
  readonly group?: string;
  readonly cluster?: true;
  readonly operation?: string;
}

export function addWhoami(program: Command): void {
  program
    .command("whoami")
    .summary("show who you are to the broker, and what you may do")
    .description(
      "Shows the principal, the key, the quota and the grants that the broker finds in the token of this command line.",
    )
    .seeAlso("access check", "config show", "keys list")
    .examples("rivulet whoami", "rivulet --json whoami | jq .grants")
    .action(async (_options: object, command: Command) => {
      const global = command.optsWithGlobals<GlobalOptions>();
      const caller = whole(await connect(global).admin.whoami(), "principal", "grants");
      print(global, caller, callerText);
    });
}

export function addAccess(program: Command): void {
  const access = program
    .command("access")
    .summary("find out who may do what")
    .description("Finds out who may do what. Nothing is changed.")
    .seeAlso("whoami", "keys")
    .examples(
      "rivulet access check --topic orders --operation write",
      "rivulet access check --group billing",
    );

  access
    .command("check")
    .summary("check what a key or token may do")
    .description(
      "Checks if a key or token may do something, and names the grant that is missing if it may not.",
    )
    .option(
      "--as <credential>",
      "the API key or token to check (default: that of this command line)",
    )
    .option("-t, --topic <topic>", "check a topic, which need not exist")
    .option("-g, --group <group>", "check a group, which need not exist")
    .option("--cluster", "check the cluster")
    .option(
      "--operation <name>",
      "Kafka's name of the operation (default: read, or describe for the cluster)",
    )
    .failsIf("an operation is not allowed")
    .examples(
      "rivulet access check --topic orders --operation write",
      'rivulet access check --as "$KEY" --topic orders --group billing',
    )
    .action(async (options: CheckOptions, command: Command) => {
      const global = command.optsWithGlobals<GlobalOptions>();
      const wanted = wantedBy(options);
      const { admin } = connect({ ...global, ...credentialIn(options) });
      const caller = whole(await admin.whoami(), "principal", "grants");
      const checks = wanted.map(({ resource, operation }) => {
        const allowed = isAllowed(caller, operation, resource);
        const missing = allowed ? null : whatIsMissing(caller, operation, resource);
        return { ...resource, operation, allowed, missing };
      });
      const { principal } = caller;
      const allowed = checks.every((check) => check.allowed);
      if (!allowed) process.exitCode = 1;
      print(global, { principal, allowed, checks }, () =>
        checks
          .map(
            ({ type, name, operation, missing }) =>
              missing ??
              `${principal} may ${operation} ${type === "cluster" ? "the cluster" : `${type} ${name}`}`,
          )
          .join("\n"),
      );
    });
}

function credentialIn({ as }: CheckOptions): { token?: string } {
  return as === undefined ? {} : { token: as };
}

/** Returns the operations to check. @throws UsageError */
function wantedBy({ topic, group, cluster, operation }: CheckOptions) {
  const resources: Resource[] = [
    ...(topic === undefined ? [] : [{ type: "topic", name: topic } as const]),
    ...(group === undefined ? [] : [{ type: "group", name: group } as const]),
    ...(cluster === undefined ? [] : [{ type: "cluster", name: "kafka-cluster" } as const]),
  ];
  if (resources.length === 0) throw new UsageError("give --topic, --group or --cluster");
  return resources.map((resource) => {
    const usual = resource.type === "cluster" ? "DESCRIBE" : "READ";
    return { resource, operation: operationOn(resource, operation ?? usual) };
  });
}

function operationOn({ type }: Resource, text: string) {
  try {
    return parseOperation(text, type);
  } catch (error) {
    throw new UsageError(`--operation: ${(error as Error).message}`);
  }
}

function callerText({ principal, grants, keyId, expiresAt, namespace, quota }: CallerInfo): string {
  return [
    plain(`Principal: ${principal}`),
    ...(keyId === undefined ? [] : [plain(`Key:       ${keyId}`)]),
    ...(expiresAt === undefined ? [] : [plain(`Expires:   ${expiresAt}`)]),
    ...boundsText({ namespace, quota }),
    grantsText(grants),
  ].join("\n");
}
