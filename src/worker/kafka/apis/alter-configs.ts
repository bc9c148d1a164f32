// AlterConfigs (API key 33), versions 0 to 2: sets all configs of a resource; a config that is not named returns to
// its default.
// v1 answers a client before it is throttled (KIP-219).
// v2 makes fields flexible (KIP-482).
//
// Unlike Kafka:
// - Configs that always have the same value here are accepted and not stored (kafka-configs.ts).

import { REGION_KEY } from "../../../core/placement.ts";
import { api } from "../api.ts";
import {
  alterEach,
  type Change,
  configOutcomes,
  keptOf,
  resourceConfigs,
} from "../config-resources.ts";
import { service } from "../context.ts";
import { array, boolean, int8, nullableString, string, struct, topicName } from "../schema.ts";

export const ALTER_CONFIGS = api({
  key: 33,
  name: "AlterConfigs",
  versions: [0, 2],
  flexibleFrom: 2,
  request: struct({
    resources: array(
      struct({
        resourceType: int8,
        resourceName: topicName,
        configs: array(struct({ name: string, value: nullableString })),
      }),
    ),
    validateOnly: boolean,
  }),
  response: configOutcomes,
});

export const alterConfigs = service(
  ALTER_CONFIGS,
  async ({ resources, validateOnly }, context) => ({
    resources: await alterEach(context, resources, validateOnly, async (resource) => {
      const { overrides } = await resourceConfigs(context.env, resource);
      // [PLC-2] The region stays, so leaving it out does not change it.
      const before = Object.keys(overrides).filter((name) => name !== REGION_KEY);
      const unset = before.map((name): Change => [name, null]);
      const set = keptOf(resource, resource.configs);
      return [...unset, ...set.map(({ name, value }): Change => [name, value])];
    }),
  }),
);
