// The version of an object's storage: opened by an older release, a newer one, and one whose write fails.
import { describe, expect, test } from "vitest";
import { ClusterStore } from "../../../../durable-objects/cluster/cluster-store.ts";
import { GroupStore } from "../../../../durable-objects/group/group-store.ts";
import {
  formatMember,
  parseMember,
  parseTopic,
} from "../../../../durable-objects/group/stored-group.ts";
import { PartitionStore } from "../../../../durable-objects/partition/partition-store.ts";
import { SqlLogStore } from "../../../../durable-objects/partition/sql-log-store.ts";
import {
  addColumn,
  createTables,
  migrate,
  type Schema,
  storedVersion,
} from "../../../../durable-objects/shared/schema.ts";
import type {
  SizedSql,
  Sql,
  SqlValue,
  Transactional,
} from "../../../../durable-objects/shared/sql.ts";
import { storedPartition, storedTopic } from "../../../../durable-objects/shared/stored-topic.ts";
import { configByKey, DEFAULT_TOPIC_CONFIG } from "../../../../src/core/cluster/config.ts";
import { resolveTopic } from "../../../../src/core/cluster/topics.ts";
import { type ClassicState, NO_CLASSIC_MEMBERS } from "../../../../src/core/group/classic-state.ts";
import type { JoinRequest } from "../../../../src/core/group/requests.ts";
import { emptyGroup, type Member } from "../../../../src/core/group/state.ts";
import { INITIAL_LOG_STATE } from "../../../../src/core/log/log-store.ts";
import { PARTITION, TOPIC } from "../../../support/log-fixtures.ts";
import { nodeSql } from "../../../support/node-sql.ts";
import { AGE_GROUP_TO_1 } from "../../../support/older-group.ts";
import { plain } from "../../../support/plain-state.ts";
import { TestedCoordinator } from "../../../support/tested-coordinator.ts";

interface Kind {
  readonly name: string;
  /** The version that this release writes. */
  readonly version: number;
  /** Opens new storage and stores something. */
  readonly make: (storage: Transactional) => void;
  /** Opens the storage as the object does when it wakes, and returns what it finds. */
  readonly open: (storage: Transactional) => unknown;
  /** Removes what release 0.1 made only when it first needed it, or never. */
  readonly age: readonly string[];
}

const JOIN: JoinRequest = {
  memberId: "m",
  memberEpoch: 0,
  instanceId: null,
  clientId: "c",
  topics: ["t"],
  topicPattern: null,
  sessionTimeoutMs: 10_000,
  rebalanceTimeoutMs: 5_000,
  owned: new Set(),
  polls: true,
  heartbeats: false,
};

const CLASSIC: ClassicState = {
  ...NO_CLASSIC_MEMBERS,
  phase: "PREPARING",
  generation: 2,
  protocolType: "consumer",
  protocolName: "range",
  leaderId: "m",
};

const KINDS: readonly Kind[] = [
  {
    name: "cluster",
    version: 6,
    make: (storage) => {
      const store = new ClusterStore(storage);
      store.setDefaults({ "retention.ms": 9 });
      store.putTopic(resolveTopic({ ...TOPIC, defaults: { "retention.ms": 9 } }));
      store.putGroup("g");
    },
    open: (storage) => {
      const store = new ClusterStore(storage);
      return [store.topics(), store.groups(), store.defaults(), store.usedPartitions("t-1")];
    },
    age: [
      ...["topics", "groups", "deleted_topics"].flatMap((table) =>
        ["come", "go"].map((way) => `DROP TRIGGER ${table}_${way}`),
      ),
      ...["groups_made", "partition_use", "incarnations", "counts"].map(
        (table) => `DROP TABLE ${table}`,
      ),
      "DROP INDEX patterns_by_prefix",
      "ALTER TABLE groups DROP COLUMN summary",
      "ALTER TABLE patterns DROP COLUMN prefix",
    ],
  },
  {
    name: "group g",
    version: 5,
    make: (storage) => {
      const store = new GroupStore(storage, "g");
      const coordinator = new TestedCoordinator(store.load());
      coordinator.alterConfig({ "group.max.size": 9 }, 1);
      const topics = [{ topicId: "t-1", name: "t", partitions: 2 }];
      const position = { topic: "t", topicId: "t-1", partition: 0, offset: 3 };
      expect(coordinator.offsets.reset([position], topics, 1)).toEqual({ ok: true });
      expect(coordinator.join(JOIN, topics, 1)).toMatchObject({ ok: true });
      const classic = { classic: CLASSIC, isStored: true, reason: "left" } as const;
      coordinator.changes.emit({ type: "classic", ...classic });
      store.apply(coordinator.takeEvents(), coordinator.takeHistory(), 1);
    },
    open: (storage) => {
      const store = new GroupStore(storage, "g");
      return [plain(store.load()), store.history(9)];
    },
    age: AGE_GROUP_TO_1,
  },
  {
    name: "partition t-1/0",
    version: 5,
    make: (storage) => {
      new PartitionStore(storage, PARTITION).setTopic(TOPIC);
      new SqlLogStore(storage).setState({ ...INITIAL_LOG_STATE, logStartOffset: 3 });
    },
    open: (storage) => [
      new PartitionStore(storage, PARTITION).open(),
      new SqlLogStore(storage).state(),
    ],
    age: [
      "DROP TABLE fence_polls",
      "DROP TABLE notes",
      "UPDATE partition SET topic = json_remove(topic, '$.partition', '$.defaults')",
    ],
  },
];

const rowsOf = (sql: Sql, query: string): Record<string, SqlValue>[] => [...sql.exec(query)];
const tablesOf = (sql: Sql) =>
  rowsOf(sql, "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").map(({ name }) =>
    String(name),
  );
/** The columns of each table. */
const shapeOf = ({ sql }: Transactional) =>
  tablesOf(sql).map((table) => [table, rowsOf(sql, `SELECT * FROM pragma_table_info('${table}')`)]);
/** All stored data. */
const dump = ({ sql }: Transactional) =>
  JSON.stringify(tablesOf(sql).map((table) => [table, rowsOf(sql, `SELECT * FROM ${table}`)]));

/** The fields of an offset have no names. */
const MORE_OF_EACH_POSITION = `UPDATE positions SET json = (SELECT json_group_object(key, json_array(
    value ->> 0, value ->> 1, coalesce(value ->> 2, ''), value ->> 3, json('{"ofANewerRelease":1}')))
  FROM json_each(positions.json))`;

/** Storage as release 0.1 left it, or an earlier one. */
function aged({ make, age }: Kind): Transactional {
  const storage = nodeSql();
  make(storage);
  for (const query of [...age, "DROP TABLE IF EXISTS schema_version"]) storage.sql.exec(query);
  return storage;
}

/** Storage whose n-th write fails. */
function failing(storage: Transactional, failAt: number): Transactional {
  let writes = 0;
  const sql: SizedSql = {
    databaseSize: 0,
    exec(query, ...bindings) {
      if (!query.startsWith("SELECT") && writes++ === failAt) throw new Error("disk full");
      return storage.sql.exec(query, ...bindings);
    },
  };
  return { sql, transactionSync: (body) => storage.transactionSync(body) };
}

describe.each(KINDS)("the storage of $name", (kind) => {
  test("[VER-1] of release 0.1 is upgraded to the same tables as new storage, with the same content", () => {
    const fresh = nodeSql();
    kind.make(fresh);
    const older = aged(kind);
    expect(shapeOf(older)).not.toEqual(shapeOf(fresh));
    expect(kind.open(older)).toEqual(kind.open(fresh));
    expect(shapeOf(older)).toEqual(shapeOf(fresh));
    const migrated = dump(older);
    kind.open(older);
    expect(dump(older)).toBe(migrated); // It happens once.
  });

  test("[VER-1] is upgraded wholly or not at all, wherever it fails, and by the next try", () => {
    const older = aged(kind);
    const before = dump(older);
    let fails = 0;
    for (; ; fails++) {
      try {
        kind.open(failing(older, fails));
        break;
      } catch (error) {
        expect(String(error)).toContain("disk full");
        expect(dump(older)).toBe(before);
      }
    }
    expect(fails).toBeGreaterThanOrEqual(3);
    const fresh = nodeSql();
    kind.make(fresh);
    expect(shapeOf(older)).toEqual(shapeOf(fresh));
  });

  test("[VER-2] that only a newer release can use is refused and left as it is", () => {
    const storage = nodeSql();
    kind.make(storage);
    storage.sql.exec("UPDATE schema_version SET version = 9, oldest_reader = 8");
    storage.sql.exec("CREATE TABLE of_a_newer_release (id INTEGER PRIMARY KEY)");
    const before = dump(storage);
    expect(() => kind.open(storage)).toThrow(
      expect.objectContaining({
        code: "KAFKA_STORAGE_ERROR",
        retriable: false,
        message: `${kind.name}: its storage has version 9 and needs a release that knows version 8; this release knows versions up to ${kind.version}. Run a newer release`,
      }),
    );
    expect(dump(storage)).toBe(before);
  });

  test("[VER-2] that only a newer release can use is refused even if its tables have other names", () => {
    const storage = nodeSql();
    kind.make(storage);
    storage.sql.exec("UPDATE schema_version SET version = 9, oldest_reader = 8");
    const names = rowsOf(
      storage.sql,
      "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT IN ('schema_version', 'sqlite_sequence')",
    ) as { name: string }[];
    for (const { name } of names)
      storage.sql.exec(`ALTER TABLE "${name}" RENAME TO "newer_${name}"`);
    const before = dump(storage);
    expect(() => kind.open(storage)).toThrow("needs a release that knows version 8");
    expect(dump(storage)).toBe(before);
  });

  test("[VER-2] [VER-6] that a newer release wrote and that this one can use is used as it is", () => {
    const storage = nodeSql();
    kind.make(storage);
    const found = kind.open(storage);
    storage.sql.exec("UPDATE schema_version SET version = 9, oldest_reader = 2");
    const before = dump(storage);
    expect(kind.open(storage)).toEqual(found);
    expect(dump(storage)).toBe(before);
  });

  test("[VER-3] has JSON with fields of a newer release", () => {
    const storage = nodeSql();
    kind.make(storage);
    const found = kind.open(storage);
    for (const table of tablesOf(storage.sql)) {
      if (table === "positions") {
        storage.sql.exec(MORE_OF_EACH_POSITION);
        continue;
      }
      const columns = rowsOf(storage.sql, `SELECT * FROM pragma_table_info('${table}')`);
      for (const { name } of columns)
        storage.sql.exec(
          `UPDATE ${table} SET ${String(name)} = json_set(${String(name)}, '$.ofANewerRelease', json('{"a":1}'))
             WHERE typeof(${String(name)}) = 'text' AND json_valid(${String(name)}) AND ${String(name)} GLOB '{?*}'
               AND '${String(name)}' NOT IN ('overrides', 'defaults')`,
        );
    }
    expect(dump(storage)).toContain("ofANewerRelease");
    expect(kind.open(storage)).toEqual(found);
  });
});

describe("the ladder", () => {
  const steps = ["one", "two", "three"].map((column) => (sql: Sql) => {
    addColumn(sql, "cluster", column, "TEXT");
    sql.exec(`UPDATE cluster SET ${column} = (SELECT count(*) FROM pragma_table_info('cluster'))`);
  });
  const schema = (length: number): Schema => ({
    kind: "cluster",
    own: "cluster",
    oldestReader: 1,
    create: (sql) => {
      sql.exec("CREATE TABLE cluster (id INTEGER PRIMARY KEY)");
      sql.exec("INSERT INTO cluster (id) VALUES (1)");
    },
    steps: steps.slice(0, length),
  });

  test.each([0, 1, 2, 3])(
    "[VER-1] runs each step once and in order, from version %i + 1 on",
    (from) => {
      const storage = nodeSql();
      createTables(storage.sql, schema(0));
      for (const length of [from, 3, 3]) {
        const version = storedVersion(storage.sql, schema(length)) as number;
        migrate(storage, schema(length), version);
      }
      expect(rowsOf(storage.sql, "SELECT * FROM cluster")).toEqual([
        { id: 1, one: "2", two: "3", three: "4" },
      ]);
      expect(storedVersion(storage.sql, schema(3))).toBe(4);
    },
  );
});

describe("a topic from before a config key existed", () => {
  /** Removes a key from the resolved config that release 0.1 stored, as if that release had not known it. */
  const forget = (storage: Transactional, table: string, field: string) =>
    storage.sql.exec(`UPDATE ${table} SET topic = json_remove(topic, '$.config.${field}')`);

  test.each(Object.keys(DEFAULT_TOPIC_CONFIG))("[VER-4] has the default of %s", (field) => {
    const topic = resolveTopic({
      ...TOPIC,
      overrides: { "cleanup.policy": "compact" },
      defaults: { "max.message.bytes": 1234 },
    });
    const expected =
      field === "cleanupPolicy" || field === "maxMessageBytes"
        ? topic.config
        : DEFAULT_TOPIC_CONFIG;

    const ofPartition = nodeSql();
    new PartitionStore(ofPartition, PARTITION).setTopic(topic);
    ofPartition.sql.exec("UPDATE partition SET topic = json_remove(topic, '$.defaults')");
    if (field !== "maxMessageBytes") forget(ofPartition, "partition", field);
    const opened = new PartitionStore(ofPartition, PARTITION).open();
    expect(opened?.config).toEqual(topic.config);
    expect(opened?.defaults).toEqual({ "max.message.bytes": 1234 });

    const ofCluster = nodeSql();
    const cluster = new ClusterStore(ofCluster);
    cluster.setDefaults(topic.defaults);
    cluster.putTopic(topic);
    forget(ofCluster, "topics", field);
    const found = new ClusterStore(ofCluster).topic("t");
    expect(found?.config).toEqual(topic.config);
    expect(found?.config[field as keyof typeof expected]).toEqual(
      expected[field as keyof typeof expected],
    );
  });

  test("[VER-4] of release 0.1 has a key's current default, and keeps what was set for all topics", () => {
    const ofRelease01 = (config: object) =>
      resolveTopic({ ...TOPIC, overrides: {}, defaults: undefined, config }).config;
    const then = { ...DEFAULT_TOPIC_CONFIG, retentionBytes: -1 };
    expect(ofRelease01(then)).toEqual(DEFAULT_TOPIC_CONFIG);
    const set = { ...then, retentionBytes: 7_000_000, retentionMs: 9 };
    expect(ofRelease01(set)).toMatchObject({ retentionBytes: 7_000_000, retentionMs: 9 });
  });

  test("[VER-4] keeps what is set by a key that only the next release knows", () => {
    const storage = nodeSql();
    const cluster = new ClusterStore(storage);
    cluster.putTopic({ ...TOPIC, overrides: { "of.a.newer.release": 5, "retention.ms": 7 } });
    const topic = new ClusterStore(storage).topic("t");
    expect(topic?.config).toEqual({ ...DEFAULT_TOPIC_CONFIG, retentionMs: 7 });
    expect(topic?.overrides).toEqual({ "of.a.newer.release": 5, "retention.ms": 7 });
    expect(Object.keys(configByKey(topic?.config ?? DEFAULT_TOPIC_CONFIG))).not.toContain(
      "of.a.newer.release",
    );
  });

  test("[VER-4] has the default if a value is no longer legal", () => {
    const described = { ...TOPIC, overrides: { "segment.ms": 0, "cleanup.policy": "burn" } };
    expect(resolveTopic(described).config).toEqual(DEFAULT_TOPIC_CONFIG);
  });
});

describe("the cluster's tasks", () => {
  test("[VER-3] of a type that only the next release knows stay stored, and others run", () => {
    const storage = nodeSql();
    const cluster = new ClusterStore(storage);
    storage.sql.exec(`INSERT INTO tasks (task) VALUES ('{"type":"of-a-newer-release","x":1}')`);
    cluster.addTask({ type: "configure-topic", topicId: "t-1" });
    const { tasks, lastId } = cluster.tasksAfter(0, 9);
    expect(tasks.map(({ task }) => task.type)).toEqual(["configure-topic"]);
    for (const { id } of tasks) cluster.deleteTask(id);
    expect(rowsOf(storage.sql, "SELECT task FROM tasks")).toHaveLength(1);
    expect(cluster.hasTasks).toBe(true);
    // A page of nothing else does not look like the end.
    expect(cluster.tasksAfter(0, 1)).toMatchObject({ tasks: [], lastId: 1 });
    expect(cluster.tasksAfter(lastId ?? 0, 1)).toMatchObject({ tasks: [], lastId: null });
  });

  test.each(['{"type":"tell-group"}', '{"type":"destroy-topic","topicId":1}', "{}", "3", "{"])(
    "[CRC-2] a damaged one is reported, and does not delay the others: %s",
    (task) => {
      const storage = nodeSql();
      const cluster = new ClusterStore(storage);
      storage.sql.exec("INSERT INTO tasks (task) VALUES (?)", task);
      const good = { type: "configure-topic", topicId: "t-1" } as const;
      cluster.addTask(good);
      const { tasks, damaged } = cluster.tasksAfter(0, 9);
      expect(String(damaged)).toContain("what is stored in tasks.task is damaged");
      expect(tasks.map((each) => each.task)).toEqual([good]);
    },
  );
});

describe("the cluster's defaults", () => {
  test("[CFG-3] are as before when their change is rolled back", () => {
    const cluster = new ClusterStore(nodeSql());
    cluster.setDefaults({ "retention.ms": 1 });
    expect(() =>
      cluster.transaction(() => {
        cluster.setDefaults({ "retention.ms": 2 });
        cluster.topics();
        throw new Error("disk full");
      }),
    ).toThrow("disk full");
    expect(cluster.defaults()).toEqual({ "retention.ms": 1 });
  });
});

describe("numbers in stored JSON", () => {
  const topic = { name: "t", topicId: "id", partitions: 1 };
  const member = JSON.parse(formatMember(aMember())) as object;
  const read = {
    "a topic": (more: object) => storedTopic.safeParse({ ...topic, ...more }).success,
    "a partition's topic": (more: object) =>
      storedPartition.safeParse({ ...topic, partition: 0, ...more }).success,
    "a group's topic": (more: object) =>
      isRead(() => parseTopic(JSON.stringify({ ...topic, ...more }))),
    "a member": (more: object) =>
      isRead(() => parseMember(JSON.stringify({ ...member, ...more }), 1)),
  };

  test.each(Object.entries(read))("[CRC-2] [VER-3] %s is read as it was stored", (_what, reads) => {
    expect(reads({})).toBe(true);
    expect(reads({ fromTheNextRelease: 1 })).toBe(true);
  });

  test.each(
    (["a topic", "a partition's topic", "a group's topic"] as const).flatMap((what) =>
      [0, -7, 1.5, 5_000_000, 1e300, "3", null].map((partitions) => ({ what, partitions })),
    ),
  )("[CRC-2] $what with $partitions partitions is damaged", ({ what, partitions }) => {
    expect(read[what]({ partitions })).toBe(false);
  });

  test.each(["sessionTimeoutMs", "memberEpoch", "memberNumber", "silentSinceMs"])(
    "[CRC-2] a member whose %s is not a safe whole number is damaged",
    (field) => {
      for (const value of [1.5, 1e300, "3"])
        expect(read["a member"]({ [field]: value })).toBe(false);
    },
  );
});

function isRead(parse: () => unknown): boolean {
  try {
    parse();
    return true;
  } catch {
    return false;
  }
}

function aMember(): Member {
  const coordinator = new TestedCoordinator(emptyGroup("g"));
  coordinator.join(JOIN, [{ topicId: "id", name: "t", partitions: 1 }], 0);
  const [member] = coordinator.state.members.values();
  return member as Member;
}
