// rivulet tokens create: tokens that an application gives to browsers
import { whole } from "../answer.ts";
import type { Command } from "../command.ts";
import { connect, type GlobalOptions, print } from "../context.ts";
import {
  addQuota,
  addRights,
  GRANTS_HELP,
  type QuotaOptions,
  quotaOf,
  type RightsOptions,
  rightsOf,
} from "../rights.ts";
import { parseDuration } from "../times.ts";

export function addTokens(program: Command): void {
  const tokens = program
    .command("tokens")
    .summary("create tokens that expire")
    .description("Creates tokens, which expire by themselves, for a browser for example.")
    .seeAlso("keys create", "access check")
    .examples(
      "rivulet tokens create --role read --ttl 5m",
      "rivulet tokens create --grant topic:prices:read --subject visitor",
    );

  addQuota(
    addRights(
      tokens
        .command("create")
        .summary("create a token")
        .description(
          "Creates a token, which may do at most what the key of this command line may. It is printed once.",
        ),
    ),
  )
    .option(
      "--ttl <duration>",
      "how long it is valid, such as 90s or 15m, at most 24h (default: 15m)",
      parseDuration,
    )
    .option("--subject <name>", "the principal of its bearer (default: that of the key)")
    .details(GRANTS_HELP)
    .examples(
      "rivulet tokens create --grant topic:prices:read --subject visitor --ttl 1h",
      "rivulet --json tokens create --role read | jq -r .token",
    )
    .action(
      async (
        options: { ttl?: number; subject?: string } & RightsOptions & QuotaOptions,
        command: Command,
      ) => {
        const global = command.optsWithGlobals<GlobalOptions>();
        const { ttl, subject } = options;
        const made = await connect(global).admin.createToken({
          ...rightsOf(options),
          ...(ttl === undefined ? {} : { ttlMs: ttl }),
          ...(subject === undefined ? {} : { subject }),
          ...quotaOf(options),
        });
        print(
          global,
          whole(made, "token", "expiresAt"),
          ({ token, expiresAt }) => `${token}\nIt expires at ${expiresAt}.`,
        );
      },
    );
}
