// rivulet tokens create: tokens that an application hands to browsers
import type { Command } from "commander";
import { connect, examples, type GlobalOptions, print } from "../context.ts";
import { parseDuration } from "../expiry.ts";
import {
  addQuota,
  addRights,
  GRANTS_HELP,
  type QuotaOptions,
  quotaOf,
  type RightsOptions,
  rightsOf,
} from "../rights.ts";

export function addTokens(program: Command): void {
  const tokens = program
    .command("tokens")
    .description("make tokens, which expire, e.g. for a browser")
    .addHelpText("after", examples("rivulet tokens create --role read --ttl 5m"));

  addQuota(
    addRights(
      tokens
        .command("create")
        .description("make a token that may do at most what the key may that asks for it"),
    ),
  )
    .option("--ttl <duration>", "how long it is good: 90s, 15m, at most 24h", parseDuration)
    .option("--subject <name>", "whoever will have it, if not the principal of the key")
    .addHelpText("after", GRANTS_HELP)
    .addHelpText(
      "after",
      examples(
        "rivulet tokens create --grant topic:prices:read --subject visitor --ttl 1h",
        "rivulet --json tokens create --role read | jq -r .token",
      ),
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
        print(global, made, ({ token, expiresAt }) => `${token}\nIt expires at ${expiresAt}.`);
      },
    );
}
