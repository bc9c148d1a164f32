// The databases of each kept release, opened by this release's stores. test/upgrade opens them with the whole program.
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ClusterStore } from "../../durable-objects/cluster/cluster-store.ts";
import { GroupStore } from "../../durable-objects/group/group-store.ts";
import { PartitionStore } from "../../durable-objects/partition/partition-store.ts";
import { SqlLogStore } from "../../durable-objects/partition/sql-log-store.ts";
import { firstRow, hasColumn, type Transactional } from "../../durable-objects/shared/sql.ts";
import { concatBytes, toBase64 } from "../../src/core/bytes.ts";
import { configByKey } from "../../src/core/cluster/config.ts";
import { parsePartitionKey } from "../../src/core/group/partition-key.ts";
import { PartitionLog } from "../../src/core/log/partition-log.ts";
import { GroupStoreOf02 } from "../support/group-store-of-0-2.ts";
import { nodeSql } from "../support/node-sql.ts";
import { plain } from "../support/plain-state.ts";
import { keptVersions, manifestOf, thaw } from "./releases.ts";
import { defaultlessConfig } from "./use.ts";

describe.each(keptVersions())("what release %s has written", (version) => {
  const { found, deleting } = manifestOf(version);
  let dataDir: string;
  const databases: DatabaseSync[] = [];

  /** The storage of each object of a kind that has stored something. */
  function opened(kind: string, table: string, at = dataDir): Transactional[] {
    const folder = join(at, "objects", `rivulet-${kind}-v1`);
    const files = readdirSync(folder).filter((name) => /^[0-9a-f]{64}\.sqlite$/.test(name));
    return files.flatMap((name) => {
      const database = new DatabaseSync(join(folder, name));
      databases.push(database);
      const query = "SELECT 1 AS found FROM sqlite_master WHERE name = ?";
      return database.prepare(query).get(table) === undefined ? [] : [nodeSql(database)];
    });
  }

  /** Opens the storage twice. The first time upgrades it to this release's version. */
  function twice<T>(open: () => T): T {
    const first = open();
    expect(open()).toEqual(first);
    return first;
  }

  beforeAll(() => {
    dataDir = mkdtempSync(join(tmpdir(), "rivulet-release-"));
    thaw(version, dataDir);
  });
  afterAll(() => {
    for (const database of databases) database.close();
    rmSync(dataDir, { recursive: true });
  });

  test("[VER-5] topics, configs, groups and tasks are found in the cluster's storage", () => {
    const [storage] = opened("cluster", "cluster") as [Transactional];
    const { topics, groups, defaults, tasks } = twice(() => {
      const store = new ClusterStore(storage);
      return {
        topics: store.topics(),
        groups: store.groups(),
        defaults: store.defaults(),
        tasks: store.tasksAfter(0, 1_000).tasks.map(({ task }) => task),
      };
    });
    const shown = (topic: (typeof topics)[number]) => ({
      ...topic,
      config: defaultlessConfig(configByKey(topic.config)),
    });
    expect(topics.map(shown)).toMatchObject(
      found.topics.map(({ name, topicId, partitions, overrides, config }) => ({
        ...{ name, topicId, partitions, overrides, config: defaultlessConfig(config) },
      })),
    );
    expect(groups).toEqual(found.groups.map(({ groupId }) => groupId));
    expect(defaults).toEqual(found.defaults);
    expect(tasks).toMatchObject([{ type: "destroy-topic", topicId: deleting }]);
  });

  test("[VER-5] members, committed offsets and history are found in the storage of each group", () => {
    const groups = opened("group", "group_state").map((storage) => {
      const query = "SELECT group_id FROM group_state";
      const groupId = firstRow<{ group_id: string }>(storage.sql, query)?.group_id ?? "";
      return twice(() => {
        const store = new GroupStore(storage, groupId);
        return { state: store.load(), history: store.history(1_000) };
      });
    });
    groups.sort((a, b) => (a.state.groupId < b.state.groupId ? -1 : 1));
    const nameOf = new Map(found.topics.map(({ topicId, name }) => [topicId, name]));
    const described = groups.map(({ state, history }) => ({
      groupId: state.groupId,
      overrides: state.overrides,
      members: [...state.members.keys(), ...state.classic.members.keys()],
      positions: Array.from(state.offsets, ([key, { offset }]) => {
        const { topicId, partition } = parsePartitionKey(key);
        return `${nameOf.get(topicId)} ${partition} ${offset}`;
      }).sort(),
      entries: history.length,
    }));
    const expected = found.groups.map(({ groupId, overrides, members, offsets, history }) => ({
      groupId,
      overrides,
      members: members.map(({ memberId }) => memberId),
      positions: offsets
        .filter(({ committedOffset }) => committedOffset !== null)
        .map(({ topic, partition, committedOffset }) => `${topic} ${partition} ${committedOffset}`)
        .sort(),
      entries: history.length,
    }));
    expect(described).toEqual(expected);
  });

  test("[VER-6] the previous release finds what it wrote, once it is upgraded to this version", () => {
    const before = join(dataDir, "before");
    mkdirSync(before);
    thaw(version, before);
    let members = 0;
    let positions = 0;
    for (const storage of opened("group", "group_state", before)) {
      const rowsOf = (query: string) => Array.from(storage.sql.exec(query), (row) => ({ ...row }));
      const membersOf = () =>
        rowsOf("SELECT json FROM members ORDER BY member_id").map(({ json }) =>
          JSON.parse(String(json)),
        );
      const positionsOf = () =>
        rowsOf(
          `SELECT partition, committed_offset, metadata, committed_at_ms${
            hasColumn(storage.sql, "offsets", "leader_epoch") ? ", leader_epoch" : ""
          } FROM offsets ORDER BY partition`,
        ).map((row) => ({ leader_epoch: null, ...row }));
      const written = { members: membersOf(), positions: positionsOf() };
      const query = "SELECT group_id FROM group_state";
      const groupId = firstRow<{ group_id: string }>(storage.sql, query)?.group_id ?? "";
      const state = plain(new GroupStore(storage, groupId).load());
      expect({ members: membersOf(), positions: positionsOf() }).toEqual(written);
      expect(new GroupStoreOf02(storage, groupId).load()).toEqual(state);
      members += written.members.length;
      positions += written.positions.length;
    }
    expect(members).toBeGreaterThan(0);
    expect(positions).toBeGreaterThan(0);
  });

  test("[VER-5] the log is found, byte by byte, in the storage of each partition", () => {
    const logs = opened("partition", "partition").map((storage) => {
      const query = "SELECT topic FROM partition";
      const json = firstRow<{ topic: string }>(storage.sql, query)?.topic ?? "";
      const { topicId, partition } = JSON.parse(json) as { topicId: string; partition: number };
      const topic = twice(() => new PartitionStore(storage, { topicId, partition }).open());
      if (topic === null) throw new Error(`${json} is not opened`);
      const log = new PartitionLog(new SqlLogStore(storage), topic.config);
      const { pieces } = log.read(log.logStartOffset, Number.MAX_SAFE_INTEGER);
      return {
        place: `${topicId}/${partition}`,
        ends: [log.logStartOffset, log.logEndOffset],
        batches: toBase64(concatBytes(pieces)),
      };
    });
    const expected = found.topics.flatMap(({ topicId, logs }) =>
      logs.flatMap(({ logStartOffset, highWatermark, batches }, partition) => ({
        place: `${topicId}/${partition}`,
        ends: [logStartOffset, highWatermark],
        batches,
      })),
    );
    // A partition that was only queried may have begun or not.
    const isUsed = ({ ends }: { readonly ends: readonly number[] }) => ends[1] !== 0;
    const byPlace = (a: { place: string }, b: { place: string }) => (a.place < b.place ? -1 : 1);
    const [toGo, kept] = [true, false].map((goes) =>
      logs.filter(({ place }) => place.startsWith(deleting) === goes),
    );
    expect(kept?.filter(isUsed).sort(byPlace)).toEqual(expected.filter(isUsed).sort(byPlace));
    expect(toGo).toHaveLength(1);
  });
});
