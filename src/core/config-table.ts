// A table of configuration keys, with the type, bounds and default of each. Set values are stored by key, in the form
// in which they are shown (`ConfigOverrides`). The config in effect is the defaults with layers of overrides on top.
import { type Failure, fail, preview, type Result } from "./errors.ts";

/** The set values, by Kafka's key. */
export type ConfigOverrides = Readonly<Record<string, string | number>>;

export function isSameOverrides(one: ConfigOverrides, other: ConfigOverrides): boolean {
  const keys = Object.keys(one);
  return keys.length === Object.keys(other).length && keys.every((key) => one[key] === other[key]);
}

/** The rule for one field of a config. */
export interface ConfigRule<Value> {
  /** Kafka's key. It is on disk and on the wire. */
  readonly key: string;
  readonly default: Value;
  /** Returns the internal value, or null if the value is not legal. */
  readonly parse: (value: unknown) => Value | null;
  /** Describes the legal values, for people. */
  readonly bound: string;
  /** Returns the value in the form in which it is shown. */
  readonly show: (value: Value) => string | number;
}

/** A rule for each field. A field without a rule does not compile. */
export type ConfigRules<Config> = { readonly [Field in keyof Config]-?: ConfigRule<Config[Field]> };

/** A rule for a value of any type. */
type AnyRule = ConfigRule<unknown>;

export class ConfigTable<Config extends object> {
  readonly #byField: readonly (readonly [field: string, rule: AnyRule])[];
  readonly #byKey: ReadonlyMap<string, AnyRule>;

  constructor(rules: ConfigRules<Config>) {
    this.#byField = Object.entries(rules) as [string, AnyRule][];
    this.#byKey = new Map(this.#byField.map(([, rule]) => [rule.key, rule]));
  }

  /**
   * Applies `changes` to `base`. `null` removes a key. Returns INVALID_CONFIG for the first wrong entry, naming the
   * key, the value and the bound.
   */
  change(
    base: ConfigOverrides,
    changes: Readonly<Record<string, unknown>>,
  ): Result<{ overrides: ConfigOverrides }> {
    const overrides: Record<string, string | number> = { ...base };
    for (const [key, value] of Object.entries(changes)) {
      const rule = this.#byKey.get(key);
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
      `config ${preview(key)} is not known; known: ${[...this.#byKey.keys()].join(", ")}`,
    );
  }

  /**
   * Returns the config in effect with these layers of overrides. Later layers win. Unknown keys and illegal values in a
   * layer count as not set: another release may have stored them.
   */
  resolve(...layers: readonly ConfigOverrides[]): Config {
    const config: Record<string, unknown> = {};
    for (const [field, rule] of this.#byField) {
      config[field] = rule.default;
      for (const layer of layers) {
        const value = Object.hasOwn(layer, rule.key) ? rule.parse(layer[rule.key]) : null;
        if (value !== null) config[field] = value;
      }
    }
    return config as Config;
  }

  /** Returns the config by Kafka's keys. */
  byKey(config: Config): Record<string, string | number> {
    return Object.fromEntries(this.#entries(config));
  }

  /** Returns the values that differ from the defaults, by Kafka's keys. Missing fields count as defaults. */
  differing(config: Partial<Config>): ConfigOverrides {
    const defaults = this.byKey(this.resolve());
    return Object.fromEntries(
      this.#entries(config).filter(([key, shown]) => shown !== defaults[key]),
    );
  }

  #entries(config: Partial<Config>): [string, string | number][] {
    const values = config as Readonly<Record<string, unknown>>;
    return this.#byField.flatMap(([field, rule]) =>
      values[field] === undefined ? [] : [[rule.key, rule.show(values[field])]],
    );
  }
}

export function wholeNumber(
  key: string,
  byDefault: number,
  minimum: number,
  maximum: number,
): ConfigRule<number> {
  return {
    key,
    default: byDefault,
    parse: (value) => {
      const number = numberOf(value, /^-?\d+$/);
      const isLegal = Number.isSafeInteger(number) && number >= minimum && number <= maximum;
      return isLegal ? number : null;
    },
    bound: `a whole number from ${minimum} to ${maximum}`,
    show: (value) => value,
  };
}

/** Reads a number. Returns NaN for anything else. */
export function numberOf(value: unknown, pattern: RegExp): number {
  if (typeof value === "number") return value;
  return typeof value === "string" && pattern.test(value) ? Number(value) : Number.NaN;
}

/** Makes the rule for a key with a fixed list of values. The first is the default. */
export function oneOf<const Value extends string>(
  key: string,
  values: readonly [Value, ...Value[]],
): ConfigRule<Value> {
  return {
    key,
    default: values[0],
    parse: (value) => values.find((each) => each === value) ?? null,
    bound: values.join(" or "),
    show: (value) => value,
  };
}
