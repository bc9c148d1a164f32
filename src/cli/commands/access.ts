// rivulet whoami: who asks. rivulet access check: whether somebody may do something.
import type { Command } from "commander";
import { isAllowed, type Resource, whatIsMissing } from "../../sdk/access.ts";
import type { CallerInfo } from "../../sdk/index.ts";
import { connect, examples, type GlobalOptions, print, UsageError } from "../context.ts";
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
    .description("show who the broker takes this command line for, and what it may do")
    .addHelpText("after", examples("rivulet whoami", "rivulet --json whoami | jq .grants"))
    .action(async (_options: object, command: Command) => {
      const global = command.optsWithGlobals<GlobalOptions>();
      print(global, await connect(global).admin.whoami(), callerText);
    });
}

export function addAccess(program: Command): void {
  const access = program
    .command("access")
    .description("find out who may do what")
    .addHelpText("after", examples("rivulet access check --topic orders --operation write"));

  access
    .command("check")
    .description("tell whether a key or token may do something, or which grant is missing")
    .option("--as <credential>", "an API key or a token, if not the one that asks")
    .option("-t, --topic <topic>", "a topic, which need not exist")
    .option("-g, --group <group>", "a group, which need not exist")
    .option("--cluster", "the cluster")
    .option("--operation <name>", "what it is to do; READ, or DESCRIBE of the cluster, if not told")
    .addHelpText("after", "\nIt ends with exit code 1 if anything of it is not allowed.\n")
    .addHelpText(
      "after",
      examples(
        "rivulet access check --topic orders --operation write",
        'rivulet access check --as "$KEY" --topic orders --group billing',
      ),
    )
    .action(async (options: CheckOptions, command: Command) => {
      const global = command.optsWithGlobals<GlobalOptions>();
      const wanted = wantedBy(options);
      const caller = await connect({ ...global, ...credentialIn(options) }).admin.whoami();
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

/** Returns what is to be allowed. @throws UsageError */
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
    `Principal: ${principal}`,
    ...(keyId === undefined ? [] : [`Key:       ${keyId}`]),
    ...(expiresAt === undefined ? [] : [`Expires:   ${expiresAt}`]),
    ...boundsText({ namespace, quota }),
    grantsText(grants),
  ].join("\n");
}
