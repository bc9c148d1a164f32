// rivulet alerts list | show | set | delete | test
import { Option } from "commander";
import { jsonBody } from "../../admin/http.ts";
import {
  ALERT_TYPES,
  type AlertInfo,
  type AlertRule,
  type AlertType,
} from "../../core/alerts/alert.ts";
import { ALERTS_PATH, alertPath } from "../../protocol/paths.ts";
import { BrokerError } from "../../sdk/index.ts";
import { conditionText, parseThreshold, type Threshold, thresholdOf } from "../alert-text.ts";
import { listed, whole } from "../answer.ts";
import type { Command } from "../command.ts";
import { type GlobalOptions, print } from "../context.ts";
import { count, durationText } from "../figures.ts";
import { httpOf } from "../http.ts";
import { plain } from "../plain.ts";
import { table } from "../table.ts";
import { parseDuration } from "../times.ts";

interface SetOptions {
  readonly type: AlertType;
  readonly match: string;
  readonly threshold?: Threshold;
  readonly for?: number;
  readonly webhook?: string;
  readonly newSecret?: true;
}

const TYPES = `Types, and their thresholds:
  group-lag       the age of a group's oldest unread record: seconds, or a duration such as 5m
  group-empty     a group has no members: no threshold
  partition-full  how much a partition stores: percent (default: 80)
  budget          how much of a budget for the day is used: percent (default: 80)`;

export function addAlerts(program: Command): void {
  const alerts = program
    .command("alerts")
    .summary("list, show, set, delete and test alerts")
    .description(
      "Manages alerts: rules about lag, groups without members, full partitions and budgets, which tell a webhook when " +
        "they fire and when they are resolved. It takes DESCRIBE on the cluster to see them and ALTER to change them.",
    )
    .seeAlso("groups list", "costs")
    .examples("rivulet alerts list", "rivulet alerts set late --type group-lag --threshold 5m");

  alerts
    .command("list")
    .summary("list the alerts and what is firing")
    .description(
      "Lists the alerts, how many of their subjects are firing, and how the last message fared.",
    )
    .examples(
      "rivulet alerts list",
      "rivulet --json alerts list | jq '.[] | select(.firing != [])'",
    )
    .action(async (_options: object, command: Command) => {
      const global = command.optsWithGlobals<GlobalOptions>();
      const all = await listAlerts(global);
      print(global, all, () =>
        all.length === 0
          ? "There are no alerts. `rivulet alerts set NAME --type TYPE` creates one."
          : table(
              ["ALERT", "RULE", "FIRING", "WEBHOOK", "LAST MESSAGE"],
              all.map((alert) => [
                alert.name,
                ruleText(alert),
                alert.firing.length + alert.beyond,
                alert.webhook,
                alert.lastDelivery?.outcome ?? null,
              ]),
            ),
      );
    });

  alerts
    .command("show <alert>")
    .summary("show an alert")
    .description(
      "Shows an alert, everything about which it is firing, and how the last message fared.",
    )
    .examples("rivulet alerts show late", "rivulet --json alerts show late | jq .firing")
    .action(async (name: string, _options: object, command: Command) => {
      const global = command.optsWithGlobals<GlobalOptions>();
      print(global, await alertNamed(name, global), describe);
    });

  alerts
    .command("set <alert>")
    .summary("create or replace an alert")
    .description(
      "Creates an alert, or replaces the one of this name. An option that is not given has its default, also where the " +
        "replaced alert had another value. A new alert gets a secret that signs its messages, which is shown only then.",
    )
    .addOption(
      new Option("--type <type>", "what the alert is about")
        .choices(ALERT_TYPES)
        .makeOptionMandatory(),
    )
    .option(
      "--match <pattern>",
      "the name of a group, topic or principal, or the beginning of names followed by *",
      "*",
    )
    .option(
      "--threshold <number>",
      "fire at this value: seconds or a duration for group-lag, percent for others",
      parseThreshold,
    )
    .option(
      "--for <duration>",
      "fire once it has been so for this long, such as 30s or 5m (default: at once)",
      parseDuration,
    )
    .option("--webhook <url>", "send messages to this http or https address (default: nowhere)")
    .option("--new-secret", "make a new secret for an alert that exists")
    .details(TYPES)
    .examples(
      "rivulet alerts set late --type group-lag --match billing --threshold 5m --for 1m",
      "rivulet alerts set idle --type group-empty --webhook https://example.com/hook",
      "rivulet alerts set full --type partition-full --match 'orders*' --threshold 90",
    )
    .action(async (name: string, options: SetOptions, command: Command) => {
      await set(name, options, command.optsWithGlobals<GlobalOptions>());
    });

  alerts
    .command("delete <alert>")
    .summary("delete an alert")
    .description("Deletes an alert. If it is firing, its webhook is told that it is resolved.")
    .examples("rivulet alerts delete late", "rivulet --json alerts delete late")
    .action(async (name: string, _options: object, command: Command) => {
      const global = command.optsWithGlobals<GlobalOptions>();
      await httpOf(global).request("DELETE", alertPath(name));
      print(global, { deleted: name }, () => `Deleted alert ${name}.`);
    });

  alerts
    .command("test <alert>")
    .summary("send a test message to an alert's webhook")
    .description(
      "Sends a test message to an alert's webhook. `rivulet alerts show` says how it fared a moment later.",
    )
    .examples("rivulet alerts test late", "rivulet alerts show late")
    .action(async (name: string, _options: object, command: Command) => {
      const global = command.optsWithGlobals<GlobalOptions>();
      await httpOf(global).request("POST", `${alertPath(name)}/test`);
      print(global, { tested: name }, () => `A test message for alert ${name} is on its way.`);
    });
}

export async function listAlerts(
  global: GlobalOptions,
  signal?: AbortSignal,
): Promise<readonly AlertInfo[]> {
  const http = httpOf(global);
  const options = { signal };
  const answer = await http.request<{ alerts: AlertInfo[] }>(
    "GET",
    ALERTS_PATH,
    undefined,
    options,
  );
  return listed(answer.alerts, "alerts").map((alert) => ({
    ...alert,
    firing: alert.firing ?? [],
    beyond: alert.beyond ?? 0,
    lastDelivery: alert.lastDelivery ?? null,
  }));
}

/** @throws BrokerError RESOURCE_NOT_FOUND */
async function alertNamed(name: string, global: GlobalOptions): Promise<AlertInfo> {
  const found = (await listAlerts(global)).find((alert) => alert.name === name);
  if (found !== undefined) return found;
  throw new BrokerError("RESOURCE_NOT_FOUND", `there is no alert ${name}`);
}

async function set(name: string, options: SetOptions, global: GlobalOptions): Promise<void> {
  const { type, match, webhook, newSecret } = options;
  const threshold = thresholdOf(type, options.threshold);
  const forSeconds = options.for === undefined ? undefined : options.for / 1_000;
  const answer = await httpOf(global).request<AlertRule & { readonly secret?: string }>(
    "PUT",
    alertPath(name),
    jsonBody({
      ...{ type, match },
      ...(threshold === undefined ? {} : { threshold }),
      ...(forSeconds === undefined ? {} : { forSeconds }),
      ...(webhook === undefined ? {} : { webhook }),
      ...(newSecret ? { newSecret } : {}),
    }),
  );
  const rule = whole(answer, "type", "match", "threshold", "forSeconds");
  print(global, rule, ({ secret }) =>
    [
      `Set alert ${name}: ${ruleText(rule)}.`,
      ...(secret === undefined
        ? []
        : [`Its secret, which signs its messages, is shown only now:\n${secret}`]),
    ].join("\n"),
  );
}

function ruleText({ forSeconds, ...rule }: AlertRule): string {
  const lasting = forSeconds === 0 ? "" : ` for ${durationText(forSeconds * 1_000)}`;
  return `${conditionText(rule)}${lasting}`;
}

function describe(alert: AlertInfo): string {
  const { name, firing, beyond, webhook, lastDelivery } = alert;
  const more = beyond === 0 ? "" : ` and ${count(beyond, "more subject")}`;
  const last =
    lastDelivery === null
      ? "none"
      : `${lastDelivery.outcome} at ${new Date(lastDelivery.atMs).toISOString()}: ${lastDelivery.detail}`;
  return [
    ...[
      `Alert:         ${name}`,
      `Rule:          ${ruleText(alert)}`,
      `Webhook:       ${webhook ?? "none"}`,
      `Last message:  ${last}`,
    ].map(plain),
    "",
    firing.length === 0
      ? "Nothing is firing."
      : table(
          ["SUBJECT", "SINCE", "WHAT"],
          firing.map(({ subject, sinceMs, text }) => [
            subject,
            new Date(sinceMs).toISOString(),
            text,
          ]),
        ),
    ...(more === "" ? [] : [`${more.trim()} meet the rule, for which there is no room.`]),
  ].join("\n");
}
