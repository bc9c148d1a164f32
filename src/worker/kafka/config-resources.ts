// The resources that have configs: topics, groups, and the broker. The broker's configs are the defaults for
// topics and groups without a value of their own.

import type { Operation } from "../../core/access/operations.ts";
import { changeDefaults, configByKey } from "../../core/cluster/config.ts";
import { changeTopicConfig } from "../../core/cluster/topics.ts";
import { BrokerError, errorOf, unwrap } from "../../core/errors.ts";
import { changeConfigOf, changeGroupConfig, resolveGroupConfig } from "../../core/group/config.ts";
import { clusterStub, type Env } from "../../env.ts";
import { assertMayUseCluster, assertMayUseGroup, assertMayUseTopic } from "../edge/authorize.ts";
import { alterGroupConfig, lookAtGroup, shownConfig } from "../edge/groups.ts";
import { refresh } from "../edge/metadata.ts";
import { alterDefaults, alterTopic } from "../edge/topics.ts";
import { startConfigs } from "./broker-config.ts";
import { changeEach } from "./change-each.ts";
import { type ShownConfigs, SOURCES } from "./config-entries.ts";
import type { RequestContext } from "./context.ts";
import { repeated } from "./distinct.ts";
import { keptConfigs, type NamedConfig, withoutBound } from "./kafka-configs.ts";
import { array, int8, int16, int32, message, since, struct, topicName } from "./schema.ts";

const TOPIC = 2;
const BROKER = 4;
const GROUP = 32;

export interface Resource {
  readonly resourceType: number;
  readonly resourceName: string;
}

/** Throws an authorization error if the caller may not do this to the resource. */
export function assertMayUse(
  env: Env,
  operation: Operation,
  { resourceType, resourceName }: Resource,
): void {
  if (resourceType === TOPIC) assertMayUseTopic(env, operation, resourceName);
  else if (resourceType === GROUP) assertMayUseGroup(env, operation, resourceName);
  else assertMayUseCluster(env, operation);
}

/** Returns the configs of a resource. */
export async function resourceConfigs(
  env: Env,
  { resourceType, resourceName }: Resource,
): Promise<ShownConfigs> {
  if (resourceType === TOPIC) {
    const { config, overrides } = await refresh(env, resourceName);
    return { config: configByKey(config), overrides, source: SOURCES.topic };
  }
  if (resourceType === BROKER) {
    const { config, overrides } = await clusterStub(env).defaults();
    const started = startConfigs(env);
    return { config: configByKey(config), overrides, source: SOURCES.broker, started };
  }
  if (resourceType !== GROUP) throw unknownType(resourceType);
  // A group that does not exist yet is shown with the config that it would have.
  const found = (await groupConfig(env, resourceName)) ?? {
    config: resolveGroupConfig({}),
    overrides: {},
  };
  return { ...shownConfig(env, found), source: SOURCES.group };
}

/** Returns the config of a group, or null if there is no such group. */
async function groupConfig(env: Env, groupId: string) {
  const found = await lookAtGroup(env, groupId, async (group) => await group.config());
  if (found.ok) return found;
  if (found.error === "GROUP_ID_NOT_FOUND") return null;
  throw errorOf(found);
}

function unknownType(resourceType: number): BrokerError {
  return new BrokerError(
    "INVALID_REQUEST",
    `resource type is ${resourceType}, it must be ${TOPIC} (topic), ${BROKER} (broker) or ${GROUP} (group)`,
  );
}

/** The answer of both APIs that alter configs. */
export const configOutcomes = struct({
  throttleTimeMs: since(0, int32),
  resources: array(
    struct({
      errorCode: int16,
      errorMessage: message,
      resourceType: int8,
      resourceName: topicName,
    }),
  ),
});

export type Change = readonly [name: string, value: string | null];

/** Alters each resource independently. */
export function alterEach<R extends Resource & { readonly configs: readonly NamedConfig[] }>(
  context: RequestContext,
  resources: readonly R[],
  validateOnly: boolean,
  changesOf: (resource: R) => Promise<readonly Change[]>,
) {
  const nameOf = ({ resourceType, resourceName }: Resource) => ({
    key: `${resourceType} ${resourceName}`,
    shown: `resource ${resourceName}`,
    fields: { resourceType, resourceName },
  });
  return changeEach(context, resources, nameOf, async (resource) => {
    assertMayUse(context.env, "ALTER_CONFIGS", resource);
    const [again] = repeated(resource.configs, ({ name }) => name);
    if (again !== undefined)
      throw new BrokerError("INVALID_REQUEST", `config ${again} is named more than once`);
    return alter(context.env, resource, await changesOf(resource), validateOnly);
  });
}

/** Returns the configs that are stored for this resource. Fixed configs are for topics only. */
export function keptOf<C extends NamedConfig>(
  { resourceType }: Resource,
  configs: readonly C[],
): C[] {
  return resourceType === GROUP ? withoutBound(configs) : keptConfigs(configs);
}

async function alter(
  env: Env,
  resource: Resource,
  changes: readonly Change[],
  validateOnly: boolean,
): Promise<object> {
  const { resourceType, resourceName } = resource;
  const config = Object.fromEntries(changes);
  await assertConfig(env, resource, config);
  if (validateOnly) return {};
  if (resourceType === TOPIC) {
    await alterTopic(env, { name: resourceName, config });
  } else if (resourceType === BROKER) await alterDefaults(env, config);
  else unwrap(await alterGroupConfig(env, resourceName, config));
  return {};
}

/** Throws the error that setting the resource's config would give. */
async function assertConfig(
  env: Env,
  resource: Resource,
  config: Readonly<Record<string, string | null>>,
): Promise<void> {
  const { resourceType, resourceName } = resource;
  if (resourceType === TOPIC) {
    unwrap(changeTopicConfig(await refresh(env, resourceName), config));
    return;
  }
  if (resourceType === BROKER) {
    const { overrides } = await clusterStub(env).defaults();
    unwrap(changeDefaults(overrides, config));
    return;
  }
  if (resourceType !== GROUP) throw unknownType(resourceType);
  const found = await groupConfig(env, resourceName);
  if (found === null) unwrap(changeGroupConfig({}, config));
  else unwrap(changeConfigOf(resourceName, found.overrides, config));
}
