// DescribeConfigs (API key 32), versions 0 to 4: describes the configs of topics, groups, and the broker.
// v1 adds `includeSynonyms` and, to the answer, synonyms, and `configSource` in place of `isDefault` (KIP-226).
// v2 answers a client before it is throttled (KIP-219).
// v3 adds `includeDocumentation`, and types and documentation to the answer (KIP-569).
// v4 makes fields flexible (KIP-482).
//
// Unlike Kafka:
// - The broker's configs are the defaults for topics and groups without a value of their own. All nodes have the
//   same.
// - The only synonym of a config is the config itself.
// - A group that does not exist is described with the configs that it would have.

import { api, type RequestOf } from "../api.ts";
import { configEntries } from "../config-entries.ts";
import { assertMayUse, resourceConfigs } from "../config-resources.ts";
import { answerEach, readingService } from "../context.ts";
import { distinct } from "../distinct.ts";
import { NO_ERROR, outcomeOfError } from "../errors.ts";
import {
  array,
  between,
  boolean,
  int8,
  int16,
  int32,
  message,
  nullableArray,
  nullableString,
  since,
  string,
  struct,
  topicName,
} from "../schema.ts";

export const DESCRIBE_CONFIGS = api({
  key: 32,
  name: "DescribeConfigs",
  versions: [0, 4],
  flexibleFrom: 4,
  request: struct({
    resources: array(
      struct({
        resourceType: int8,
        resourceName: topicName,
        configurationKeys: nullableArray(string),
      }),
    ),
    includeSynonyms: since(1, boolean),
    includeDocumentation: since(3, boolean),
  }),
  response: struct({
    throttleTimeMs: since(0, int32),
    results: array(
      struct({
        errorCode: int16,
        errorMessage: message,
        resourceType: int8,
        resourceName: topicName,
        configs: array(
          struct({
            name: string,
            value: nullableString,
            readOnly: boolean,
            isDefault: between(0, 0, boolean),
            configSource: since(1, int8),
            isSensitive: boolean,
            synonyms: since(
              1,
              array(struct({ name: string, value: nullableString, source: int8 })),
            ),
            configType: since(3, int8),
            documentation: since(3, nullableString),
          }),
        ),
      }),
    ),
  }),
});

type Question = RequestOf<typeof DESCRIBE_CONFIGS>["resources"][number];

export const describeConfigs = readingService(
  DESCRIBE_CONFIGS,
  async ({ resources, includeSynonyms, includeDocumentation }, context) => ({
    results: await answerEach(
      context,
      distinct(resources, questionOf),
      async ({ resourceType, resourceName, configurationKeys: keys }) => {
        const resource = { resourceType, resourceName };
        try {
          assertMayUse(context.env, "DESCRIBE_CONFIGS", resource);
          const shown = await resourceConfigs(context.env, resource);
          const asked = keys?.length === 0 ? null : keys;
          const configs = configEntries(shown, asked, { includeSynonyms, includeDocumentation });
          return { ...resource, ...NO_ERROR, configs };
        } catch (error) {
          return { ...resource, ...outcomeOfError(error), configs: [] };
        }
      },
    ),
  }),
);

/** Identifies a question. A request may ask for different configs of one resource. */
function questionOf({ resourceType, resourceName, configurationKeys }: Question): string {
  return JSON.stringify([resourceType, resourceName, configurationKeys]);
}
