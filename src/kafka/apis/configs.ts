// DescribeConfigs, AlterConfigs, IncrementalAlterConfigs. They serve topics, groups and the broker. The broker's
// configs are the defaults for topics and groups that set no value of their own.
import { type ConfigOverrides, changeOverrides, configByKey } from "../../core/cluster/config.ts";
import { BrokerError, errorOf, unwrap } from "../../core/errors.ts";
import {
  changeGroupConfig,
  groupConfigByKey,
  resolveGroupConfig,
} from "../../core/group/config.ts";
import { lookAtGroup } from "../../edge/groups.ts";
import { remember } from "../../edge/metadata.ts";
import { clusterStub, type Env, groupStub } from "../../env.ts";
import { Lazily, weightOf } from "../answer-weight.ts";
import { startConfigs } from "../broker-config.ts";
import { answerEach, type RequestContext, readingService, service } from "../context.ts";
import { distinct, namedTwice, repeated } from "../distinct.ts";
import { NO_ERROR, told, toldOf } from "../errors.ts";
import {
  aboutConfig,
  FIXED_VALUES,
  keptConfigs,
  type NamedConfig,
  shownConfig,
  TYPES,
  withoutBound,
} from "../kafka-configs.ts";
import {
  ALTER_CONFIGS,
  DESCRIBE_CONFIGS,
  INCREMENTAL_ALTER_CONFIGS,
  type RequestOf,
} from "../messages.ts";

const TOPIC = 2;
const BROKER = 4;
const GROUP = 32;

/** The source of a value (Kafka's ConfigSource). */
export const SOURCES = { topic: 1, broker: 3, start: 4, default: 5, group: 8 } as const;

interface Resource {
  readonly resourceType: number;
  readonly resourceName: string;
}

type Question = RequestOf<typeof DESCRIBE_CONFIGS>["resources"][number];

interface Shown {
  readonly config: Readonly<Record<string, string | number>>;
  readonly overrides: ConfigOverrides;
  readonly source: number;
  /** The configs that were set where the broker was started. They can only be read. */
  readonly started?: ReturnType<typeof startConfigs>;
}

export const describeConfigs = readingService(
  DESCRIBE_CONFIGS,
  async ({ resources, includeSynonyms, includeDocumentation }, context) => ({
    results: await answerEach(
      context,
      distinct(resources, questionOf),
      async ({ resourceType, resourceName, configurationKeys: keys }) => {
        const resource = { resourceType, resourceName };
        try {
          const shown = await show(context.env, resource);
          const asked = keys?.length === 0 ? null : keys;
          const configs = entries(shown, asked, { includeSynonyms, includeDocumentation });
          return { ...resource, ...NO_ERROR, configs };
        } catch (error) {
          return { ...resource, ...told(error), configs: [] };
        }
      },
    ),
  }),
);

/** Identifies a question. A request may ask for different configs of one resource. */
function questionOf({ resourceType, resourceName, configurationKeys }: Question): string {
  return JSON.stringify([resourceType, resourceName, configurationKeys]);
}

function nameOf({ resourceType, resourceName }: Resource): string {
  return `${resourceType} ${resourceName}`;
}

async function show(env: Env, { resourceType, resourceName }: Resource): Promise<Shown> {
  if (resourceType === TOPIC) {
    const { topic } = unwrap(await clusterStub(env).topic(resourceName));
    const { config, overrides } = topic;
    return { config: configByKey(config), overrides, source: SOURCES.topic };
  }
  if (resourceType === BROKER) {
    const { config, overrides } = await clusterStub(env).defaults();
    const started = startConfigs(env);
    return { config: configByKey(config), overrides, source: SOURCES.broker, started };
  }
  if (resourceType !== GROUP) throw unknownType(resourceType);
  const found = await lookAtGroup(env, resourceName, async (group) => await group.config());
  if (!found.ok && found.error !== "GROUP_ID_NOT_FOUND") throw errorOf(found);
  // A group that does not exist yet is shown with the config that it would have.
  const { config, overrides } = found.ok
    ? found
    : { config: resolveGroupConfig({}), overrides: {} };
  return { config: groupConfigByKey(config), overrides, source: SOURCES.group };
}

/**
 * Lists all entries, or only those named in `keys`. Each entry is made when it
 * is written. [KFK-30] Every config that is accepted is among them.
 */
export function entries(
  { config, overrides, source, started = {} }: Shown,
  keys: readonly string[] | null = null,
  { includeSynonyms = false, includeDocumentation = false } = {},
) {
  const wanted = keys === null ? null : new Set(keys);
  const startValues = Object.entries(started).map(([name, { value }]) => [name, value] as const);
  const all = {
    ...config,
    ...(source === SOURCES.group ? {} : FIXED_VALUES),
    ...Object.fromEntries(startValues),
  };
  const shown = Object.entries(all).filter(([name]) => wanted === null || wanted.has(name));
  const entry = ([name, kept]: (typeof shown)[number]) => {
    const value = shownConfig(kept);
    const ofStart = started[name]?.isSet ? SOURCES.start : SOURCES.default;
    const configSource = name in overrides ? source : ofStart;
    const about = aboutConfig(name);
    return {
      name,
      value,
      readOnly: !(name in config),
      isDefault: configSource === SOURCES.default,
      configSource,
      isSensitive: false,
      synonyms: includeSynonyms ? [{ name, value, source: configSource }] : [],
      configType: TYPES[about?.type ?? "string"],
      documentation: includeDocumentation ? (about?.documentation ?? null) : null,
    };
  };
  return new Lazily(
    shown.length,
    (i) => entry(shown[i] as (typeof shown)[number]),
    weightOf(shown),
  );
}

/** AlterConfigs, Kafka's older way: a config that the request does not name goes back to its default. */
export const alterConfigs = service(
  ALTER_CONFIGS,
  async ({ resources, validateOnly }, context) => ({
    resources: await alterEach(context, resources, validateOnly, async (resource) => {
      const { overrides } = await show(context.env, resource);
      const unset = Object.keys(overrides).map((name): Change => [name, null]);
      const set = keptOf(resource, resource.configs);
      return [...unset, ...set.map(({ name, value }): Change => [name, value])];
    }),
  }),
);

/** Returns the configs that are stored for this resource. Those that hold anyway concern topics only. */
function keptOf<C extends NamedConfig>({ resourceType }: Resource, configs: readonly C[]): C[] {
  return resourceType === GROUP ? withoutBound(configs) : keptConfigs(configs);
}

const SET = 0;
const DELETE = 1;
const APPEND = 2;
const SUBTRACT = 3;

/** IncrementalAlterConfigs (KIP-339). A list can also be added to and taken from, as it stands. */
export const incrementalAlterConfigs = service(
  INCREMENTAL_ALTER_CONFIGS,
  async ({ resources, validateOnly }, context) => ({
    resources: await alterEach(context, resources, validateOnly, async (resource) => {
      const { configs } = resource;
      const isRelative = configs.some(({ operation }) => operation > DELETE);
      const { config } = isRelative ? await show(context.env, resource) : { config: {} };
      const changed = configs.map((each) => ({ name: each.name, value: valueAfter(each, config) }));
      return keptOf(resource, changed).map(({ name, value }): Change => [name, value]);
    }),
  }),
);

/** Alters each resource independently. An error in one is reported for that one only. */
function alterEach<R extends Resource & { readonly configs: readonly NamedConfig[] }>(
  context: RequestContext,
  resources: readonly R[],
  validateOnly: boolean,
  changesOf: (resource: R) => Promise<readonly Change[]>,
) {
  const twice = repeated(resources, nameOf);
  return answerEach(context, distinct(resources, nameOf), async (resource) => {
    const { resourceType, resourceName } = resource;
    const outcome = twice.has(nameOf(resource))
      ? namedTwice(`resource ${resourceName}`)
      : await toldOf(async () => {
          const [again] = repeated(resource.configs, ({ name }) => name);
          if (again !== undefined)
            throw new BrokerError("INVALID_REQUEST", `config ${again} is named more than once`);
          return alter(context.env, resource, await changesOf(resource), validateOnly);
        });
    return { resourceType, resourceName, ...outcome };
  });
}

type Operation = RequestOf<
  typeof INCREMENTAL_ALTER_CONFIGS
>["resources"][number]["configs"][number];
type Change = readonly [name: string, value: string | null];

/** Returns the value that the config gets. Null removes the one that is set. */
function valueAfter(
  { name, operation, value }: Operation,
  current: Shown["config"],
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
      `config ${name} cannot be added to or taken from: its type is ${type}, it must be list`,
    );
  const [before, named] = [itemsOf(current[name]), itemsOf(value)];
  const after = operation === APPEND ? before.union(named) : before.difference(named);
  return [...after].join(",");
}

/** Returns the items of a list as it is shown: separated by commas. */
function itemsOf(list: string | number | null | undefined): Set<string> {
  const items = String(list ?? "").split(",");
  return new Set(items.map((item) => item.trim()).filter((item) => item !== ""));
}

async function alter(
  env: Env,
  resource: Resource,
  changes: readonly Change[],
  validateOnly: boolean,
): Promise<object> {
  const { resourceType, resourceName } = resource;
  const config = Object.fromEntries(changes);
  const { overrides } = await show(env, resource);
  const check = resourceType === GROUP ? changeGroupConfig : changeOverrides;
  unwrap(check(overrides, config));
  if (validateOnly) return {};
  if (resourceType === TOPIC) {
    const altered = await clusterStub(env).alterTopic(resourceName, { config });
    remember(unwrap(altered).topic);
  } else if (resourceType === BROKER) unwrap(await clusterStub(env).alterDefaults(config));
  else unwrap(await groupStub(env, resourceName).alterConfig(config));
  return {};
}

function unknownType(resourceType: number): BrokerError {
  return new BrokerError(
    "INVALID_REQUEST",
    `resource type is ${resourceType}, it must be ${TOPIC} (topic), ${BROKER} (broker) or ${GROUP} (group)`,
  );
}
