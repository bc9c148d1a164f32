import { describe, expect, test } from "vitest";
import {
  type ConfigOverrides,
  changeOverrides,
  compacts,
  configByKey,
  DEFAULT_TOPIC_CONFIG,
  deletesByRetention,
  resolveConfig,
  type TopicConfig,
} from "../../../../src/core/cluster/config.ts";
import { unwrap } from "../../../../src/core/errors.ts";
import {
  DEFAULT_RETENTION_BYTES,
  DEFAULT_SEGMENT_BYTES,
  MAX_BUDGET_DOLLARS,
  MAX_COMMIT_LINGER_MS,
  MAX_DELETE_DELAY_MS,
  MAX_MESSAGE_BYTES,
  MAX_SEGMENT_BYTES,
  MIN_SEGMENT_BYTES,
} from "../../../../src/core/limits.ts";

const DAY_MS = 86_400_000;
const FOREVER = Number.MAX_SAFE_INTEGER;

interface Row {
  readonly key: string;
  readonly field: keyof TopicConfig;
  /** The displayed form. */
  readonly byDefault: string | number;
  /** Legal values, and what each becomes in the config. */
  readonly legal: readonly (readonly [value: unknown, becomes: unknown])[];
  readonly illegal: readonly unknown[];
  readonly bound: string;
}

/** Values that are not numbers at all, or not whole ones. */
const NOT_WHOLE = [1.5, "1.5", "", " ", " 5", "5 ", "+5", "1e3", "0x10", "five", "--1", "1,000"];
const NO_VALUE = [Number.NaN, Number.POSITIVE_INFINITY, true, false, [], [5], {}, undefined];

function whole(
  key: string,
  field: keyof TopicConfig,
  byDefault: number,
  [minimum, maximum]: readonly [number, number],
): Row {
  const inside = [minimum, minimum + 1, maximum - 1, maximum];
  return {
    key,
    field,
    byDefault,
    legal: inside.flatMap((value) => [
      [value, value],
      [String(value), value],
    ]),
    illegal: [
      minimum - 1,
      String(minimum - 1),
      maximum + 1,
      String(maximum + 1),
      "9223372036854775807",
      2 ** 53,
      Number.NEGATIVE_INFINITY,
      ...NOT_WHOLE,
      ...NO_VALUE,
    ],
    bound: `a whole number from ${minimum} to ${maximum}`,
  };
}

const TABLE: readonly Row[] = [
  {
    key: "cleanup.policy",
    field: "cleanupPolicy",
    byDefault: "delete",
    legal: [
      ["delete", ["delete"]],
      ["compact", ["compact"]],
      ["compact,delete", ["compact", "delete"]],
      ["delete,compact", ["compact", "delete"]],
      [" delete , compact ", ["compact", "delete"]],
      ["delete,delete", ["delete"]],
      ["", []],
      ["  ", []],
    ],
    illegal: [
      "Delete",
      "none",
      ",",
      "delete,",
      "delete;compact",
      "compact,keep",
      ["delete"],
      0,
      {},
    ],
    bound: '"delete", "compact", "compact,delete" or ""',
  },
  whole("delete.retention.ms", "deleteRetentionMs", DAY_MS, [0, FOREVER]),
  whole("max.compaction.lag.ms", "maxCompactionLagMs", FOREVER, [1, FOREVER]),
  whole("max.message.bytes", "maxMessageBytes", MAX_MESSAGE_BYTES, [1, MAX_MESSAGE_BYTES]),
  whole("message.timestamp.after.max.ms", "messageTimestampAfterMaxMs", FOREVER, [0, FOREVER]),
  whole("message.timestamp.before.max.ms", "messageTimestampBeforeMaxMs", FOREVER, [0, FOREVER]),
  {
    key: "message.timestamp.type",
    field: "messageTimestampType",
    byDefault: "CreateTime",
    legal: [
      ["CreateTime", "CreateTime"],
      ["LogAppendTime", "LogAppendTime"],
    ],
    illegal: ["createtime", "", "CreateTime ", "NoTimestampType", 0, 1, ["CreateTime"], true],
    bound: "CreateTime or LogAppendTime",
  },
  {
    key: "min.cleanable.dirty.ratio",
    field: "minCleanableDirtyRatio",
    byDefault: 0.5,
    legal: [
      [0, 0],
      [1, 1],
      [0.25, 0.25],
      ["0", 0],
      ["1", 1],
      ["1.0", 1],
      ["0.75", 0.75],
      [".5", 0.5],
    ],
    illegal: [-0.1, 1.1, "-0.1", "1.01", "", ".", "1.", "50%", "0,5", "1e-1", ...NO_VALUE],
    bound: "a number from 0 to 1",
  },
  {
    key: "budget.usd.per.day",
    field: "budgetDollars",
    byDefault: -1,
    legal: [
      [-1, -1],
      ["-1", -1],
      [0.01, 0.01],
      ["2.50", 2.5],
      [MAX_BUDGET_DOLLARS, MAX_BUDGET_DOLLARS],
    ],
    illegal: [0, -2, "-0.5", MAX_BUDGET_DOLLARS + 1, "", "$5", "5 USD", "1e3", ...NO_VALUE],
    bound: "-1 (none) or dollars above 0, up to 1000000",
  },
  whole("commit.linger.ms", "commitLingerMs", 0, [0, MAX_COMMIT_LINGER_MS]),
  whole("min.compaction.lag.ms", "minCompactionLagMs", 0, [0, FOREVER]),
  whole("producer.id.expiration.ms", "producerIdExpirationMs", DAY_MS, [1, FOREVER]),
  whole("retention.bytes", "retentionBytes", DEFAULT_RETENTION_BYTES, [-1, FOREVER]),
  whole("retention.ms", "retentionMs", 7 * DAY_MS, [-1, FOREVER]),
  whole("segment.bytes", "segmentBytes", DEFAULT_SEGMENT_BYTES, [
    MIN_SEGMENT_BYTES,
    MAX_SEGMENT_BYTES,
  ]),
  {
    key: "rivulet.region",
    field: "region",
    byDefault: "",
    legal: [
      ["", ""],
      ["weur", "weur"],
      ["apac-ne", "apac-ne"],
    ],
    illegal: ["EU", "europe", " weur", 0, true, ["weur"], {}],
    bound:
      'wnam, enam, sam, weur, eeur, apac, apac-ne, apac-se, oc, afr, me or "" (where it is created from)',
  },
  whole("segment.ms", "segmentMs", 7 * DAY_MS, [1, FOREVER]),
  whole("topic.delete.delay.ms", "deleteDelayMs", -1, [-1, MAX_DELETE_DELAY_MS]),
];

const overridesOf = (base: ConfigOverrides, changes: Readonly<Record<string, unknown>>) =>
  unwrap(changeOverrides(base, changes)).overrides;

describe("the table of configs", () => {
  test("[CFG-1] the keys are these, with these defaults", () => {
    expect(configByKey(DEFAULT_TOPIC_CONFIG)).toEqual(
      Object.fromEntries(TABLE.map(({ key, byDefault }) => [key, byDefault])),
    );
    expect(Object.keys(DEFAULT_TOPIC_CONFIG).sort()).toEqual(
      TABLE.map(({ field }) => field).sort(),
    );
  });

  test.each(TABLE)("[CFG-1] $key accepts each of its legal values", ({ key, field, legal }) => {
    for (const [value, becomes] of legal) {
      const overrides = overridesOf({}, { [key]: value });
      const config = resolveConfig(overrides);
      expect(config[field], `${value}`).toEqual(becomes);
      // Nothing else changes, and a displayed value may be set again.
      expect(config).toEqual({ ...DEFAULT_TOPIC_CONFIG, [field]: becomes });
      expect(overridesOf({}, { [key]: configByKey(config)[key] })).toEqual(overrides);
    }
  });

  test.each(TABLE)("[CFG-1] $key rejects any other value, and says what it accepts", (row) => {
    const { key, illegal, bound } = row;
    for (const value of illegal) {
      const shown = value === undefined ? "nothing" : JSON.stringify(value);
      expect(changeOverrides({}, { [key]: value }), `${shown}`).toMatchObject({
        ok: false,
        error: "INVALID_CONFIG",
        detail: expect.stringContaining(`config ${key} is ${shown}, it must be ${bound}`),
      });
    }
  });

  test("[CFG-1] a value is kept in one form, however it was written", () => {
    const changes = {
      "retention.ms": "0012",
      "cleanup.policy": "delete, compact",
      "segment.ms": 7,
    };
    expect(overridesOf({}, changes)).toEqual({
      "retention.ms": 12,
      "cleanup.policy": "compact,delete",
      "segment.ms": 7,
    });
  });

  test.each([
    "retention.hours",
    "Retention.ms",
    "retentionMs",
    "",
    "constructor",
    "hasOwnProperty",
    "toString",
    "__proto__",
  ])("[CFG-1] the key %j is unknown, with a value or without", (key) => {
    for (const value of [5, "5", null, {}]) {
      const changes = JSON.parse(`{${JSON.stringify(key)}: ${JSON.stringify(value)}}`);
      const refused = changeOverrides({}, changes);
      expect(refused).toMatchObject({ ok: false, error: "INVALID_CONFIG" });
      expect(refused).toMatchObject({
        detail: expect.stringContaining(`config ${JSON.stringify(key)} is not known; known: `),
      });
      for (const row of TABLE)
        expect(refused).toMatchObject({ detail: expect.stringContaining(row.key) });
    }
    expect(Object.prototype).not.toHaveProperty("5");
  });

  test.each([
    { title: "an illegal value", wrong: { "segment.ms": 0 } },
    { title: "an unknown key", wrong: { nothing: 1 } },
  ])("[CFG-1] $title among good ones changes nothing", ({ wrong }) => {
    const base = Object.freeze({ "retention.ms": 5, "segment.ms": 9 });
    const changes = {
      "retention.ms": 6,
      "retention.bytes": null,
      ...wrong,
      "max.message.bytes": 7,
    };
    expect(changeOverrides(base, changes).ok).toBe(false);
    expect(base).toEqual({ "retention.ms": 5, "segment.ms": 9 });
  });

  test("[CFG-1] the first wrong key is the one named", () => {
    const changes = { "retention.ms": 6, "segment.ms": "x", nothing: 1, "retention.bytes": -2 };
    expect(changeOverrides({}, changes)).toMatchObject({
      detail: expect.stringContaining('segment.ms is "x"'),
    });
  });
});

describe("layers of configs", () => {
  test("[CFG-2] changes are laid over what is set, and do not modify it", () => {
    const base = Object.freeze({ "retention.ms": 5, "segment.ms": 9 });
    const changed = overridesOf(base, { "segment.ms": 10, "retention.bytes": 11 });
    expect(changed).toEqual({ "retention.ms": 5, "segment.ms": 10, "retention.bytes": 11 });
    expect(base).toEqual({ "retention.ms": 5, "segment.ms": 9 });
    expect(overridesOf(base, {})).toEqual(base);
  });

  test.each(TABLE)("[CFG-2] null removes $key, whether it is set or not", (row) => {
    const { key, legal } = row;
    const set = overridesOf({}, { [key]: legal[0]?.[0] });
    expect(Object.keys(set)).toEqual([key]);
    expect(overridesOf(set, { [key]: null })).toEqual({});
    expect(overridesOf({}, { [key]: null })).toEqual({});
  });

  test.each(TABLE)("[CFG-2] $key is the topic's, then the cluster's, then the table's", (row) => {
    const { key, field, legal } = row;
    const [first, last] = [legal[0], legal.at(-1)];
    const cluster = overridesOf({}, { [key]: first?.[0] });
    const topic = overridesOf({}, { [key]: last?.[0] });
    expect(first?.[1]).not.toEqual(last?.[1]);
    expect(resolveConfig(cluster, topic)[field]).toEqual(last?.[1]);
    expect(resolveConfig(topic, cluster)[field]).toEqual(first?.[1]);
    expect(resolveConfig(cluster, {})[field]).toEqual(first?.[1]);
    expect(resolveConfig({}, topic)[field]).toEqual(last?.[1]);
    expect(resolveConfig({}, {})).toEqual(DEFAULT_TOPIC_CONFIG);
  });

  test("[CFG-2] each key is looked up in the layers by itself", () => {
    const cluster = { "retention.ms": 1, "segment.ms": 2, "cleanup.policy": "compact" };
    const topic = { "segment.ms": 3, "max.message.bytes": 4 };
    expect(resolveConfig(cluster, topic)).toEqual({
      ...DEFAULT_TOPIC_CONFIG,
      retentionMs: 1,
      segmentMs: 3,
      cleanupPolicy: ["compact"],
      maxMessageBytes: 4,
    });
  });

  test("[CFG-2] a topic may set what the cluster's defaults turned off", () => {
    const config = resolveConfig({ "cleanup.policy": "" }, { "cleanup.policy": "delete" });
    expect(config.cleanupPolicy).toEqual(["delete"]);
    expect(resolveConfig({ "cleanup.policy": "delete" }, { "cleanup.policy": "" })).toMatchObject({
      cleanupPolicy: [],
    });
  });

  test.each([
    { policy: "", deleted: false, compacted: false },
    { policy: "delete", deleted: true, compacted: false },
    { policy: "compact", deleted: false, compacted: true },
    { policy: "compact,delete", deleted: true, compacted: true },
  ])("[CFG-1] the policy '$policy' deletes: $deleted, compacts: $compacted", (row) => {
    const config = resolveConfig({ "cleanup.policy": row.policy });
    expect([deletesByRetention(config), compacts(config)]).toEqual([row.deleted, row.compacted]);
  });
});
