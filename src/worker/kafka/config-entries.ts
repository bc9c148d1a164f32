// Configs in the form that Kafka's clients see, in DescribeConfigs and CreateTopics.
import type { ConfigOverrides } from "../../core/cluster/config.ts";
import { Lazily, weightOf } from "./answer-weight.ts";
import type { startConfigs } from "./broker-config.ts";
import { aboutConfig, FIXED_VALUES, shownConfig, TYPES } from "./kafka-configs.ts";

/** The source of a value (Kafka's ConfigSource). */
export const SOURCES = { topic: 1, broker: 3, start: 4, default: 5, group: 8 } as const;

export interface ShownConfigs {
  readonly config: Readonly<Record<string, string | number>>;
  readonly overrides: ConfigOverrides;
  readonly source: number;
  /** The configs that were set where the broker was started. They are read-only. */
  readonly started?: ReturnType<typeof startConfigs>;
}

/**
 * Lists all entries, or only those named in `keys`. Each entry is made when it is written. [KFK-30] Every
 * accepted config is among them.
 */
export function configEntries(
  { config, overrides, source, started = {} }: ShownConfigs,
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
