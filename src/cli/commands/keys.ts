// rivulet keys create | list | alter | revoke: API keys
import type { Command } from "commander";
import type { KeyInfo } from "../../sdk/index.ts";
import { connect, examples, type GlobalOptions, print, UsageError } from "../context.ts";
import { type Expiry, parseExpiry } from "../expiry.ts";
import { addRights, GRANTS_HELP, grantText, type RightsOptions, rightsOf } from "../rights.ts";
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

  addRights(
    keys
      .command("create")
      .description("create an API key, and print it: nobody sees it again")
      .requiredOption("--principal <name>", "whoever will act with it, e.g. alice"),
  )
    .option(EXPIRES, "30d, 12h, a time, or never", parseExpiry)
    .addHelpText("after", GRANTS_HELP)
    .addHelpText(
      "after",
      examples(
        "rivulet keys create --principal alice --role consume --expires 30d",
        "rivulet keys create --principal shop --grant topic-prefix:orders.:read,write --grant group:billing:read",
        "rivulet --json keys create --principal ci --role write | jq -r .key",
      ),
    )
    .action(
      async (
        options: { principal: string; expires?: Expiry } & RightsOptions,
        command: Command,
      ) => {
        const global = command.optsWithGlobals<GlobalOptions>();
        const rights = rightsOf(options);
        if (rights === null) throw new UsageError("give --role, --grant or --grants");
        const { principal, expires } = options;
        const expiresAt = expires?.atMs ?? null;
        const key = await connect(global).admin.createKey({ principal, expiresAt, ...rights });
        print(
          global,
          key,
          () => `Created key ${key.id} of ${key.principal}. It is shown only now:\n${key.key}`,
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
              ["ID", "PRINCIPAL", "EXPIRES", "LAST USED", "GRANTS"],
              all.map(({ id, principal, expiresAt, lastUsed, grants }) => [
                id,
                principal,
                expiresAt ?? "never",
                lastUsed,
                grants.map(grantText).join(" "),
              ]),
            ),
      );
    });

  addRights(
    keys.command("alter <id>").description("change what an API key may do, or when it expires"),
  )
    .option(EXPIRES, "30d, 12h, a time, or never", parseExpiry)
    .addHelpText("after", GRANTS_HELP)
    .addHelpText(
      "after",
      examples(
        "rivulet keys alter abcdefgh23456777 --grant topic:orders:read",
        "rivulet keys alter abcdefgh23456777 --expires never",
      ),
    )
    .action(async (id: string, options: { expires?: Expiry } & RightsOptions, command: Command) => {
      const global = command.optsWithGlobals<GlobalOptions>();
      const rights = rightsOf(options);
      const { expires } = options;
      if (rights === null && expires === undefined)
        throw new UsageError("give --role, --grant, --grants or --expires");
      const change = { ...rights, ...(expires === undefined ? {} : { expiresAt: expires.atMs }) };
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

function keyText({ principal, grants, expiresAt }: KeyInfo): string {
  return [`Principal: ${principal}`, `Expires:   ${expiresAt ?? "never"}`, grantsText(grants)].join(
    "\n",
  );
}

export function grantsText(grants: KeyInfo["grants"]): string {
  if (grants.length === 0) return "Grants:    none";
  return ["Grants:", ...grants.map((grant) => `  ${grantText(grant)}`)].join("\n");
}
