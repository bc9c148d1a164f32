// rivulet keys create | list | alter | revoke: API keys
import type { KeyInfo, Quota } from "../../sdk/index.ts";
import { listed, whole } from "../answer.ts";
import type { Command } from "../command.ts";
import { connect, type GlobalOptions, print, UsageError } from "../context.ts";
import { plain } from "../plain.ts";
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
import { type Expiry, parseExpiry } from "../times.ts";

const EXPIRES = "--expires <time>";
const EXPIRES_HELP = "when it expires: a duration from now such as 12h or 30d, a time, or never";

export function addKeys(program: Command): void {
  const keys = program
    .command("keys")
    .summary("create, list, alter and revoke API keys")
    .description("Creates, lists, alters and revokes the API keys of a closed broker.")
    .seeAlso("tokens create", "access check", "whoami")
    .examples("rivulet keys create --principal alice --role consume", "rivulet keys list");

  addQuota(
    addRights(
      keys
        .command("create")
        .summary("create an API key")
        .description("Creates an API key and prints it. It is shown only then.")
        .requiredOption("--principal <name>", "the name of its bearer, such as alice"),
    ),
  )
    .option(EXPIRES, `${EXPIRES_HELP} (default: never)`, parseExpiry)
    .option(
      "--namespace <prefix>",
      "the namespace of a tenant, such as acme.: it begins every name that the bearer uses",
    )
    .details(GRANTS_HELP)
    .examples(
      "rivulet keys create --principal alice --role consume --expires 30d",
      "rivulet keys create --principal shop --grant topic-prefix:orders.:read,write --grant group:billing:read",
      "rivulet keys create --principal acme --role admin --namespace acme. --request-rate 100",
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
        const created = await connect(global).admin.createKey({
          principal,
          expiresAt: expires?.atMs ?? null,
          ...rights,
          ...(namespace === undefined ? {} : { namespace }),
          ...quotaOf(options),
        });
        const key = whole(created, "id", "principal", "key", "secret");
        print(global, key, () =>
          [
            `Created key ${plain(key.id)} of ${plain(key.principal)}. It is shown only now:\n${key.key}`,
            `A Kafka client's user name is ${key.id}, and its password ${key.secret}`,
          ].join("\n"),
        );
      },
    );

  keys
    .command("list")
    .summary("list the API keys")
    .description("Lists the API keys with their grants and quotas, but without their secrets.")
    .examples("rivulet keys list", "rivulet --json keys list | jq '.[].principal'")
    .action(async (_options: object, command: Command) => {
      const global = command.optsWithGlobals<GlobalOptions>();
      const all = listed(await connect(global).admin.listKeys(), "keys");
      print(global, all, () =>
        all.length === 0
          ? "There are no keys. `rivulet keys create --principal NAME --role ROLE` creates one."
          : table(
              ["ID", "PRINCIPAL", "EXPIRES", "LAST USED", "NAMESPACE", "QUOTA", "GRANTS"],
              all.map(({ id, principal, expiresAt, lastUsed, namespace, quota, grants }) => [
                id,
                principal,
                expiresAt ?? "never",
                lastUsed,
                namespace ?? null,
                quota === undefined ? null : quotaText(quota),
                (grants ?? []).map(grantText).join(" "),
              ]),
            ),
      );
    });

  addQuota(
    addRights(
      keys
        .command("alter <id>")
        .summary("change an API key")
        .description("Changes what an API key may do, its quota, or when it expires."),
    ),
  )
    .option("--no-quota", "remove its quota")
    .option(EXPIRES, EXPIRES_HELP, parseExpiry)
    .details(GRANTS_HELP)
    .examples(
      "rivulet keys alter abcdefgh23456777 --grant topic:orders:read",
      "rivulet keys alter abcdefgh23456777 --expires never",
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
      const altered = await connect(global).admin.alterKey(id, change);
      const key = whole(altered, "id", "principal", "grants");
      print(global, key, () => `Altered key ${key.id}.\n${keyText(key)}`);
    });

  keys
    .command("revoke <id>")
    .summary("revoke an API key")
    .description(
      "Deletes an API key. Requests with it are refused within ten seconds, and its sockets are closed within five minutes.",
    )
    .option("--now <topic...>", "close its sockets at these topics at once")
    .option("--now-groups <group...>", "close the sockets of its members in these groups at once")
    .examples(
      "rivulet keys revoke abcdefgh23456777",
      "rivulet keys revoke abcdefgh23456777 --now orders payments",
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
    plain(`Principal: ${principal}`),
    plain(`Expires:   ${expiresAt ?? "never"}`),
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
      : [plain(`Names:     all begin with ${namespace}, which is not shown`)]),
    ...(quota === undefined ? [] : [plain(`Quota:     ${quotaText(quota)}`)]),
  ];
}

export function grantsText(grants: KeyInfo["grants"]): string {
  if (grants.length === 0) return "Grants:    none";
  return ["Grants:", ...grants.map((grant) => plain(`  ${grantText(grant)}`))].join("\n");
}
