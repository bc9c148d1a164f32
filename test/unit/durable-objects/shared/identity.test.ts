// Whose storage an object has found: every kind of object in the place of every other.
import { describe, expect, test } from "vitest";
import { ClusterStore } from "../../../../durable-objects/cluster/cluster-store.ts";
import { GroupStore } from "../../../../durable-objects/group/group-store.ts";
import { PartitionStore } from "../../../../durable-objects/partition/partition-store.ts";
import type { Transactional } from "../../../../durable-objects/shared/sql.ts";
import { PARTITION, TOPIC } from "../../../support/log-fixtures.ts";
import { nodeSql } from "../../../support/node-sql.ts";
import { AGE_GROUP_TO_1 } from "../../../support/older-group.ts";
import { TestedCoordinator } from "../../../support/tested-coordinator.ts";

interface Kind {
  readonly name: string;
  /** Opens the storage as this object, and stores something. */
  readonly write: (storage: Transactional) => void;
  /** Opens it as this object does when it wakes. */
  readonly load: (storage: Transactional) => unknown;
}

const partition = (topicId: string, number: number): Kind => ({
  name: `partition ${topicId}/${number}`,
  write: (storage) =>
    new PartitionStore(storage, { topicId, partition: number }).setTopic({ ...TOPIC, topicId }),
  load: (storage) => new PartitionStore(storage, { topicId, partition: number }).open(),
});

const group = (groupId: string): Kind => ({
  name: `group ${groupId}`,
  write: (storage) => {
    const store = new GroupStore(storage, groupId);
    const coordinator = new TestedCoordinator(store.load());
    coordinator.alterConfig({ "group.max.size": 9 }, 1);
    store.apply(coordinator.takeEvents());
  },
  load: (storage) => new GroupStore(storage, groupId).load(),
});

const cluster: Kind = {
  name: "cluster",
  write: (storage) => new ClusterStore(storage).setDefaults({ "retention.ms": 9 }),
  load: (storage) => new ClusterStore(storage).topics(),
};

const KINDS = [
  cluster,
  group("g"),
  group("h"),
  partition("t-1", 0),
  partition("t-1", 1),
  partition("t-2", 0),
];

function dump(storage: Transactional): string {
  const query = "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') ORDER BY name";
  const tables = storage.sql.exec<{ name: string }>(query);
  const rows = Array.from(tables, ({ name }) => [
    name,
    ...storage.sql.exec(`SELECT * FROM ${name}`),
  ]);
  return JSON.stringify(rows);
}

describe("the storage of another object", () => {
  test.each(
    KINDS.flatMap((own) =>
      KINDS.filter((other) => other !== own).map((other) => [own.name, other.name, own, other]),
    ) as [string, string, Kind, Kind][],
  )("[FIL-7] %s does not take that of %s, and leaves it as it is", (_, __, own, other) => {
    const storage = nodeSql();
    other.write(storage);
    const before = dump(storage);
    expect(() => own.load(storage)).toThrow(
      expect.objectContaining({
        code: "KAFKA_STORAGE_ERROR",
        retriable: false,
        message: expect.stringMatching(new RegExp(`^${own.name}: its storage is that of `)),
      }),
    );
    if (own.name.split(" ")[0] === other.name.split(" ")[0])
      expect(() => own.load(storage)).toThrow(`that of ${other.name}`);
    expect(dump(storage)).toBe(before);
    other.load(storage);
  });

  /** Removes from the storage what a release before FIL-7 did not write. */
  const OLDER: readonly { kind: Kind; age: readonly string[]; ageFrom: readonly Kind[] }[] = [
    {
      kind: partition("t-1", 0),
      age: [
        "UPDATE partition SET topic = json_remove(topic, '$.partition')",
        "DROP TABLE schema_version",
      ],
      ageFrom: [partition("t-2", 0), group("g"), cluster],
    },
    {
      kind: group("g"),
      age: AGE_GROUP_TO_1,
      ageFrom: [partition("t-1", 0), cluster],
    },
  ];

  test.each(OLDER)(
    "[FIL-7] of $kind.name from an older release: it is accepted, and names its owner from then on",
    ({ kind, age, ageFrom }) => {
      const storage = nodeSql();
      kind.write(storage);
      if (kind.name === "group g") {
        // Members are counted with the next change of the group, and checked with the next alarm.
        storage.sql.exec("UPDATE group_state SET attached_members = NULL, member_count = NULL");
        storage.sql.exec("INSERT INTO deadline VALUES (1, 0, 0)");
      }
      const whole = dump(storage);
      for (const query of age) storage.sql.exec(query);
      for (const other of ageFrom) expect(() => other.load(storage)).toThrow("its storage is that");
      kind.load(storage);
      expect(dump(storage)).toBe(whole);
      for (const other of KINDS.filter(({ name }) => name !== kind.name))
        expect(() => other.load(storage), other.name).toThrow("its storage is that of");
    },
  );
});

test.each([
  { what: "another topic's", own: { topicId: "t-9", partition: 0 }, isAnothers: true },
  {
    what: "another partition's of the same topic",
    own: { ...PARTITION, partition: 1 },
    isAnothers: false,
  },
])("[FIL-7] data that is $what goes with a deleted topic: only the topic's own does", (row) => {
  const storage = nodeSql();
  new PartitionStore(storage, PARTITION).setTopic(TOPIC);
  const store = new PartitionStore(storage, row.own);
  expect(store.isAnothers).toBe(false);
  expect(() => store.open()).toThrow("its storage is that of partition t-1/0, of topic t");
  expect(store.isAnothers).toBe(row.isAnothers);
});
