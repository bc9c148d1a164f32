// rivulet keys create | list | alter | revoke: API keys
import type { Command } from "commander";
import type { KeyInfo, Quota } from "../../sdk/index.ts";
import { connect, examples, type GlobalOptions, print, UsageError } from "../context.ts";
import { type Expiry, parseExpiry } from "../expiry.ts";
import {
  addQuota,
  addRights,
  GRANTS_HELP,
  grantText,
  type QuotaOptions,
  quotaOf,
  quotaText,
  type RightsOptions,
  rightsOf,
} from "../rights.ts";
import { table } from "../table.ts";

const EXPIRES = "--expires <time>";

export function addKeys(program: Command): void {
  const keys = program
    .command("keys")
    .description("create, list, alter and revoke API keys")
    .addHelpText(
      "after",
      examples("rivulet keys create --principal alice --role consume", "rivulet keys list"),
    );

  addQuota(
    addRights(
      keys
        .command("create")
        .description("create an API key, and print it: nobody sees it again")
        .requiredOption("--principal <name>", "whoever will act with it, e.g. alice"),
    ),
  )
    .option(EXPIRES, "30d, 12h, a time, or never", parseExpiry)
    .option("--namespace <prefix>", "a tenant's name space, e.g. acme.: all names are in it")
    .addHelpText("after", GRANTS_HELP)
    .addHelpText(
      "after",
      examples(
        "rivulet keys create --principal alice --role consume --expires 30d",
        "rivulet keys create --principal shop --grant topic-prefix:orders.:read,write --grant group:billing:read",
        "rivulet keys create --principal acme --role admin --namespace acme. --request-rate 100",
      ),
    )
    .action(
      async (
        options: { principal: string; expires?: Expiry; namespace?: string } & RightsOptions &
          QuotaOptions,
        command: Command,
      ) => {
        const global = command.optsWithGlobals<GlobalOptions>();
        const rights = rightsOf(options);
        if (rights === null) throw new UsageError("give --role, --grant or --grants");
        const { principal, expires, namespace } = options;
        const key = await connect(global).admin.createKey({
          principal,
          expiresAt: expires?.atMs ?? null,
          ...rights,
          ...(namespace === undefined ? {} : { namespace }),
          ...quotaOf(options),
        });
        print(global, key, () =>
          [
            `Created key ${key.id} of ${key.principal}. It is shown only now:\n${key.key}`,
            `A Kafka client's user name is ${key.id}, and its password ${key.secret}`,
          ].join("\n"),
        );
      },
    );

  keys
    .command("list")
    .description("list the API keys and what they may do, but not their secrets")
    .addHelpText(
      "after",
      examples("rivulet keys list", "rivulet --json keys list | jq '.[].principal'"),
    )
    .action(async (_options: object, command: Command) => {
      const global = command.optsWithGlobals<GlobalOptions>();
      const all = await connect(global).admin.listKeys();
      print(global, all, () =>
        all.length === 0
          ? "There are no keys. `rivulet keys create --principal NAME --role ROLE` creates one."
          : table(
              ["ID", "PRINCIPAL", "EXPIRES", "LAST USED", "NAME SPACE", "QUOTA", "GRANTS"],
              all.map(({ id, principal, expiresAt, lastUsed, namespace, quota, grants }) => [
                id,
                principal,
                expiresAt ?? "never",
                lastUsed,
                namespace ?? null,
                quota === undefined ? null : quotaText(quota),
                grants.map(grantText).join(" "),
              ]),
            ),
      );
    });

  addQuota(
    addRights(
      keys
        .command("alter <id>")
        .description("change what an API key may do, how much, or when it expires"),
    ),
  )
    .option("--no-quota", "take its quota away")
    .option(EXPIRES, "30d, 12h, a time, or never", parseExpiry)
    .addHelpText("after", GRANTS_HELP)
    .addHelpText(
      "after",
      examples(
        "rivulet keys alter abcdefgh23456777 --grant topic:orders:read",
        "rivulet keys alter abcdefgh23456777 --expires never",
      ),
    )
    .action(async (id: string, options: AlterOptions, command: Command) => {
      const global = command.optsWithGlobals<GlobalOptions>();
      const { expires } = options;
      const change = {
        ...rightsOf(options),
        ...(expires === undefined ? {} : { expiresAt: expires.atMs }),
        ...(options.quota ? quotaOf(options) : { quota: null }),
      };
      if (Object.keys(change).length === 0)
        throw new UsageError("give --role, --grant, --grants, --expires or a quota");
      const key = await connect(global).admin.alterKey(id, change);
      print(global, key, () => `Altered key ${key.id}.\n${keyText(key)}`);
    });

  keys
    .command("revoke <id>")
    .description("delete an API key: requests with it are refused within seconds")
    .option("--now <topic...>", "close its sockets at these topics at once, not in five minutes")
    .option("--now-groups <group...>", "the same for members of groups")
    .addHelpText(
      "after",
      examples(
        "rivulet keys revoke abcdefgh23456777",
        "rivulet keys revoke abcdefgh23456777 --now orders payments",
      ),
    )
    .action(
      async (id: string, sockets: { now?: string[]; nowGroups?: string[] }, command: Command) => {
        const global = command.optsWithGlobals<GlobalOptions>();
        await connect(global).admin.deleteKey(id, sockets);
        print(global, { id, isRevoked: true }, () => `Revoked key ${id}.`);
      },
    );
}

/** Commander has `quota: true` unless there is --no-quota. */
type AlterOptions = { expires?: Expiry; quota: boolean } & RightsOptions & QuotaOptions;

function keyText({ principal, grants, expiresAt, namespace, quota }: KeyInfo): string {
  return [
    `Principal: ${principal}`,
    `Expires:   ${expiresAt ?? "never"}`,
    ...boundsText({ namespace, quota }),
    grantsText(grants),
  ].join("\n");
}

export function boundsText({
  namespace,
  quota,
}: {
  namespace: string | undefined;
  quota: Quota | undefined;
}): string[] {
  return [
    ...(namespace === undefined
      ? []
      : [`Names:     all begin with ${namespace}, which is not shown`]),
    ...(quota === undefined ? [] : [`Quota:     ${quotaText(quota)}`]),
  ];
}

export function grantsText(grants: KeyInfo["grants"]): string {
  if (grants.length === 0) return "Grants:    none";
  return ["Grants:", ...grants.map((grant) => `  ${grantText(grant)}`)].join("\n");
}
