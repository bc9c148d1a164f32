// A table of configuration keys: the type, bounds and default of each in one place. Values that are
// set are kept by key, in the form in which they are shown (`ConfigOverrides`). The config in
// effect is the defaults with layers of overrides on top.
import { type Failure, fail, preview, type Result } from "./errors.ts";

/** Values that are set, by Kafka's key. */
export type ConfigOverrides = Readonly<Record<string, string | number>>;

export interface ConfigKey<Config> {
  readonly field: keyof Config;
  readonly default: Config[keyof Config];
  /** Returns the inner value, or null if the value is not legal. */
  parse(value: unknown): Config[keyof Config] | null;
  /** The legal values, described for people. */
  readonly bound: string;
  /** Returns the value as it is shown. */
  show(value: Config[keyof Config]): string | number;
}

export class ConfigTable<Config extends object> {
  readonly #keys: Readonly<Record<string, ConfigKey<Config>>>;

  constructor(keys: Readonly<Record<string, ConfigKey<Config>>>) {
    this.#keys = keys;
  }

  /**
   * Applies `changes` to `base`. `null` removes a key. INVALID_CONFIG names the key, the
   * value and the bound of the first one that is wrong.
   */
  change(
    base: ConfigOverrides,
    changes: Readonly<Record<string, unknown>>,
  ): Result<{ overrides: ConfigOverrides }> {
    const overrides: Record<string, string | number> = { ...base };
    for (const [key, value] of Object.entries(changes)) {
      const rule = Object.hasOwn(this.#keys, key) ? this.#keys[key] : undefined;
      if (rule === undefined) return this.#unknown(key);
      if (value === null) {
        delete overrides[key];
        continue;
      }
      const parsed = rule.parse(value);
      if (parsed === null) {
        return fail(
          "INVALID_CONFIG",
          `config ${key} is ${preview(value)}, it must be ${rule.bound}`,
        );
      }
      overrides[key] = rule.show(parsed);
    }
    return { ok: true, overrides };
  }

  #unknown(key: string): Failure {
    return fail(
      "INVALID_CONFIG",
      `config ${preview(key)} is not known; known: ${Object.keys(this.#keys).join(", ")}`,
    );
  }

  /** Returns the config in effect with these layers of overrides. Later layers win. All have been checked. */
  resolve(...layers: readonly ConfigOverrides[]): Config {
    const config: Partial<Config> = {};
    for (const [key, rule] of Object.entries(this.#keys)) {
      config[rule.field] = rule.default;
      for (const layer of layers) {
        const value = Object.hasOwn(layer, key) ? rule.parse(layer[key]) : null;
        if (value !== null) config[rule.field] = value;
      }
    }
    return config as Config;
  }

  /** Returns the config by Kafka's keys. */
  byKey(config: Config): Record<string, string | number> {
    return Object.fromEntries(
      Object.entries(this.#keys).map(([key, rule]) => [key, rule.show(config[rule.field])]),
    );
  }
}

/** The fields of a config that hold values of this type. */
type FieldOf<Config, Value> = {
  [Field in keyof Config]: Value extends Config[Field] ? Field : never;
}[keyof Config];

export function whole<Config>(
  field: FieldOf<Config, number>,
  byDefault: number,
  minimum: number,
  maximum: number,
): ConfigKey<Config> {
  return {
    field,
    default: byDefault as Config[keyof Config],
    parse: (value) => {
      const number = numberOf(value, /^-?\d+$/);
      const isLegal = Number.isSafeInteger(number) && number >= minimum && number <= maximum;
      return isLegal ? (number as Config[keyof Config]) : null;
    },
    bound: `a whole number from ${minimum} to ${maximum}`,
    show: (value) => value as number,
  };
}

/** Reads a number. NaN for anything else. */
export function numberOf(value: unknown, pattern: RegExp): number {
  if (typeof value === "number") return value;
  return typeof value === "string" && pattern.test(value) ? Number(value) : Number.NaN;
}

/** A key with a fixed list of values. The first is the default. */
export function oneOf<Config>(
  field: keyof Config,
  values: readonly [string, ...string[]],
): ConfigKey<Config> {
  return {
    field,
    default: values[0] as Config[keyof Config],
    parse: (value) => (values.find((each) => each === value) as Config[keyof Config]) ?? null,
    bound: values.join(" or "),
    show: (value) => value as string,
  };
}
