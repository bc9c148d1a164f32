// IncrementalAlterConfigs (API key 44), versions 0 to 1: changes single configs of a resource (KIP-339).
// v1 makes fields flexible (KIP-482).
//
// Unlike Kafka:
// - Configs that always have the same value here are accepted and not stored (kafka-configs.ts).

import { BrokerError } from "../../../core/errors.ts";
import { api, type RequestOf } from "../api.ts";
import {
  alterEach,
  type Change,
  configOutcomes,
  keptOf,
  resourceConfigs,
} from "../config-resources.ts";
import { service } from "../context.ts";
import { aboutConfig } from "../kafka-configs.ts";
import { array, boolean, int8, nullableString, string, struct, topicName } from "../schema.ts";

export const INCREMENTAL_ALTER_CONFIGS = api({
  key: 44,
  name: "IncrementalAlterConfigs",
  versions: [0, 1],
  flexibleFrom: 1,
  request: struct({
    resources: array(
      struct({
        resourceType: int8,
        resourceName: topicName,
        configs: array(struct({ name: string, operation: int8, value: nullableString })),
      }),
    ),
    validateOnly: boolean,
  }),
  response: configOutcomes,
});

const SET = 0;
const DELETE = 1;
const APPEND = 2;
const SUBTRACT = 3;

/** Alters single configs. Items can also be added to a list, or removed from it, in its present state. */
export const incrementalAlterConfigs = service(
  INCREMENTAL_ALTER_CONFIGS,
  async ({ resources, validateOnly }, context) => ({
    resources: await alterEach(context, resources, validateOnly, async (resource) => {
      const { configs } = resource;
      const isRelative = configs.some(({ operation }) => operation > DELETE);
      const { config } = isRelative ? await resourceConfigs(context.env, resource) : { config: {} };
      const changed = configs.map((each) => ({ name: each.name, value: valueAfter(each, config) }));
      return keptOf(resource, changed).map(({ name, value }): Change => [name, value]);
    }),
  }),
);

type Operation = RequestOf<
  typeof INCREMENTAL_ALTER_CONFIGS
>["resources"][number]["configs"][number];

/** Returns the new value of the config. Null removes the set value. */
function valueAfter(
  { name, operation, value }: Operation,
  current: Readonly<Record<string, string | number>>,
): string | null {
  if (operation === SET) return value;
  if (operation === DELETE) return null;
  if (operation !== APPEND && operation !== SUBTRACT)
    throw new BrokerError(
      "INVALID_REQUEST",
      `the operation on ${name} is ${operation}, it must be ${SET} (set), ${DELETE} (delete), ${APPEND} (append) or ${SUBTRACT} (subtract)`,
    );
  const { type } = aboutConfig(name) ?? { type: "unknown" };
  if (type !== "list")
    throw new BrokerError(
      "INVALID_CONFIG",
      `config ${name} is of type ${type}, only a list can be added to or subtracted from`,
    );
  const [before, named] = [itemsOf(current[name]), itemsOf(value)];
  const after = operation === APPEND ? before.union(named) : before.difference(named);
  return [...after].join(",");
}

/** Returns the items of a list in its shown form: separated by commas. */
function itemsOf(list: string | number | null | undefined): Set<string> {
  const items = String(list ?? "").split(",");
  return new Set(items.map((item) => item.trim()).filter((item) => item !== ""));
}
