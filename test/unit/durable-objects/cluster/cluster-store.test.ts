// The cluster's store in SQLite. Each test asks a newly opened store, as after an eviction.
import fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";
import { ClusterStore, type Task } from "../../../../durable-objects/cluster/cluster-store.ts";
import type { Transactional } from "../../../../durable-objects/shared/sql.ts";
import type { AuditEvent, KeptEvent } from "../../../../src/core/access/audit.ts";
import { beginningOfNames, subscribes } from "../../../../src/core/group/topic-pattern.ts";
import { MAX_AUDIT_EVENTS } from "../../../../src/core/limits.ts";
import { runs } from "../../../support/effort.ts";
import { TOPIC } from "../../../support/log-fixtures.ts";
import { nodeSql } from "../../../support/node-sql.ts";

let storage: Transactional;
const store = () => new ClusterStore(storage);

beforeEach(() => {
  storage = nodeSql();
});

const topic = (name: string, topicId = `id-of-${name}`) => ({ ...TOPIC, name, topicId });

describe("topics", () => {
  test("[CLU-2] they are found by name and by id, and listed by name", () => {
    const [b, a] = [topic("b"), topic("a")];
    store().putTopic(b);
    store().putTopic(a);
    expect([store().topic("a"), store().topicById("id-of-b")]).toEqual([a, b]);
    expect([store().topic("c"), store().topicById("a")]).toEqual([null, null]);
    expect(store().topics()).toEqual([a, b]);
  });

  test("[CLU-3] a changed one is what it was changed to, and keeps its id", () => {
    store().putTopic(topic("a"));
    const grown = { ...topic("a"), partitions: 9 };
    store().putTopic(grown);
    expect([store().topics(), store().topicById("id-of-a")]).toEqual([[grown], grown]);
  });

  test("[CLU-4] a deleted one is gone under name and id, with its use, and no other", () => {
    for (const name of ["a", "b"]) {
      store().putTopic(topic(name));
      store().rememberUse(`id-of-${name}`);
      store().noteLogEnd(`id-of-${name}`, 0, 7);
    }
    store().deleteTopic(topic("a"));
    expect([store().topic("a"), store().topicById("id-of-a")]).toEqual([null, null]);
    expect(store().usedPartitions("id-of-a")).toBe(null);
    expect(store().usePartition("id-of-a", 0, false)).toBe(null);
    expect([store().topicById("id-of-b"), store().usedPartitions("id-of-b")]).toEqual([
      topic("b"),
      [0],
    ]);
    const again = topic("a", "another id");
    store().putTopic(again);
    expect([store().topic("a"), store().topicById("id-of-a")]).toEqual([again, null]);
  });

  test("[CFG-2] there are no defaults until some are set", () => {
    expect(store().defaults()).toEqual({});
    store().setDefaults({ "retention.ms": 5 });
    expect(store().defaults()).toEqual({ "retention.ms": 5 });
  });
});

describe("counts", () => {
  test("[CLU-1] are the numbers of topics and groups, whatever was counted before", () => {
    const one = store();
    const told = () => [one.topicCount, one.groupCount];
    const listed = () => [one.topics().length, one.groups().length];
    const steps: (() => void)[] = [
      () => one.putTopic(topic("a")),
      () => one.putTopic({ ...topic("a"), partitions: 9 }),
      () => one.putTopic(topic("b")),
      () => one.deleteTopic(topic("a")),
      () => one.deleteTopic(topic("a")),
      () => one.putGroup("g"),
      () => one.putGroup("g"),
      () => one.putGroup("h"),
      () => one.deleteGroup("g"),
      () => one.deleteGroup("g"),
    ];
    for (const step of steps) {
      step();
      expect(told()).toEqual(listed());
      const undone = () =>
        one.transaction(() => {
          one.putTopic(topic("c"));
          one.deleteGroup("h");
          throw new Error("disk full");
        });
      expect(undone).toThrow("disk full");
      expect(told()).toEqual(listed());
    }
    expect([store().topicCount, store().groupCount]).toEqual([1, 1]);
  });
});

describe("what does not grow with the number of others", () => {
  /** The names of topics and groups here. */
  const name = fc.stringMatching(/^[ab]{1,2}$/);
  const step = fc.record({
    what: fc.constantFrom("put", "delete", "list", "forget", "older"),
    name,
    isUndone: fc.boolean(),
  });

  test("[CLU-7] the counts are right whoever writes: upserts, rollbacks, and rows of the previous release", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const storage = nodeSql();
        const one = new ClusterStore(storage);
        const take = ({ what, name }: { what: string; name: string }) => {
          if (what === "put") one.putTopic(topic(name));
          else if (what === "delete") one.deleteTopic(topic(name));
          else if (what === "list") one.putGroup(name);
          else if (what === "forget") one.deleteGroup(name);
          else {
            // As release 0.3 writes them.
            const json = JSON.stringify(topic(name));
            storage.sql.exec(
              "INSERT INTO topics (name, topic) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET topic = excluded.topic",
              name,
              json,
            );
            storage.sql.exec(
              "INSERT INTO groups (group_id) VALUES (?) ON CONFLICT DO NOTHING",
              name,
            );
          }
        };
        for (const each of steps) {
          const undone = () =>
            one.transaction(() => {
              take(each);
              if (each.isUndone) throw new Error("disk full");
            });
          if (each.isUndone) expect(undone).toThrow("disk full");
          else undone();
          const counted = [one.topicCount, one.groupCount];
          expect(counted).toEqual([one.topics().length, one.groups().length]);
        }
        const later = new ClusterStore(storage);
        expect([later.topicCount, later.groupCount]).toEqual([
          later.topics().length,
          later.groups().length,
        ]);
      }),
      runs(100),
    );
  });

  test("[CLU-7] data of an earlier release is counted once it is upgraded to this version", () => {
    for (const each of ["a", "b", "c"]) store().putTopic(topic(each));
    store().putGroup("g");
    for (const trigger of ["topics_come", "topics_go", "groups_come", "groups_go"])
      storage.sql.exec(`DROP TRIGGER ${trigger}`);
    storage.sql.exec("DROP TABLE counts");
    storage.sql.exec("UPDATE schema_version SET version = 5");
    expect([store().topicCount, store().groupCount]).toEqual([3, 1]);
    store().deleteTopic(topic("a"));
    expect(store().topicCount).toBe(2);
  });

  const patterns = [
    "a",
    "a.*",
    "ab",
    "a\\.b",
    "b+",
    "(?i)A",
    "a|c",
    ".*",
    "^ab.*",
    "[a-c]x",
    "team\\..*",
  ];

  test("[CLU-7] a name finds exactly the patterns whose names may begin as it does", () => {
    const one = store();
    for (const pattern of patterns)
      for (const group of ["g", "h"]) one.subscribeToPattern(`${group}-${pattern}`, pattern);
    fc.assert(
      fc.property(fc.stringMatching(/^[abct.x]{1,5}$/), (each) => {
        const found = one.patternsFor(each);
        const mayMatch = patterns.filter((pattern) => each.startsWith(beginningOfNames(pattern)));
        expect([...found.keys()].sort()).toEqual([...mayMatch].sort());
        for (const pattern of patterns) {
          if (subscribes({ topics: [], topicPattern: pattern }, each))
            expect(found.get(pattern)?.sort()).toEqual([`g-${pattern}`, `h-${pattern}`]);
        }
      }),
      runs(200),
    );
  });

  test("[CLU-7] a pattern of the previous release is found for every name until its group joins again", () => {
    storage = nodeSql();
    const one = store();
    one.subscribeToPattern("new", "orders.*");
    storage.sql.exec("INSERT INTO patterns (group_id, pattern) VALUES ('old', 'orders.*')");
    expect(one.patternsFor("orders-1").get("orders.*")?.sort()).toEqual(["new", "old"]);
    expect([...one.patternsFor("other")]).toEqual([["orders.*", ["old"]]]);
    one.subscribeToPattern("old", "orders.*");
    expect([...one.patternsFor("other")]).toEqual([]);
    expect(one.patternsFor("orders-1").get("orders.*")?.sort()).toEqual(["new", "old"]);
  });

  /** The rows that these statements read, one after another through an index, or all of a table. */
  const plansOf = (act: (one: ClusterStore) => unknown) => {
    const plans: string[] = [];
    const { sql } = storage;
    const explaining: Transactional = {
      sql: {
        databaseSize: 0,
        exec: (query, ...bindings) => {
          const plan = sql.exec<{ detail: string }>(`EXPLAIN QUERY PLAN ${query}`, ...bindings);
          for (const { detail } of plan) plans.push(detail);
          return sql.exec(query, ...bindings);
        },
      },
      transactionSync: (body) => storage.transactionSync(body),
    };
    const one = new ClusterStore(explaining);
    plans.length = 0;
    act(one);
    return plans;
  };

  test("[CLU-7] no statement of a creation, a join by pattern or a page scans a whole table", () => {
    store().putTopic(topic("a"));
    const plans = plansOf((one) => {
      one.putTopic(topic("b"));
      one.putGroup("g");
      one.subscribe("g", "b");
      one.subscribeToPattern("g", "b.*");
      one.patternsFor("b");
      one.subscribers("b");
      one.topicNames("b");
      one.groupIds("g", 5);
      one.topicsAfter("a", 5);
      one.groupsAfter("a", 5);
      one.summarizeGroup("g", { protocolType: "p", groupState: "Empty", groupType: "consumer" });
      one.tasksAfter(5, 5);
      one.deleteGroup("g");
      one.deleteTopic(topic("b"));
      return [one.topicCount, one.groupCount, one.hasTopic("b"), one.hasGroup("g")];
    });
    expect(plans.length).toBeGreaterThan(15);
    expect(plans.filter((plan) => /^SCAN (?!json_each)/.test(plan))).toEqual([]);
  });
});

describe("the use of partitions", () => {
  test("[FIL-3] a partition is new until it has reported an end, even of an empty log", () => {
    expect(store().usePartition("t", 3, false)).toBe(null);
    expect(store().usePartition("t", 3, false)).toBe(null);
    store().noteLogEnd("t", 3, 0);
    expect(store().usePartition("t", 3, false)).toBe(0);
    expect([store().usePartition("t", 4, false), store().usePartition("u", 3, false)]).toEqual([
      null,
      null,
    ]);
  });

  test("[FIL-4] the reported end never goes back", () => {
    const ends = [4, 9, 2, 0, 10].map((end) => {
      store().noteLogEnd("t", 0, end);
      return store().usePartition("t", 0, false);
    });
    expect(ends).toEqual([4, 9, 9, 9, 10]);
    store().usePartition("t", 1, false);
    store().noteLogEnd("t", 1, 0);
    expect(store().usePartition("t", 1, false)).toBe(0);
  });

  test("[FIL-1] used partitions come in order, if all of them are remembered", () => {
    for (const partition of [5, 0, 2]) store().usePartition("t", partition, false);
    expect(store().usedPartitions("t")).toBe(null); // The topic is older than what is remembered.
    expect(store().usedPartitions("u")).toBe(null);
    store().rememberUse("t");
    expect(store().usedPartitions("t")).toEqual([0, 2, 5]);
    store().rememberUse("u");
    expect(store().usedPartitions("u")).toEqual([]);
  });
});

describe("groups", () => {
  test("[GRP-13] they are listed by name, each once", () => {
    for (const group of ["h", "g", "h"]) store().putGroup(group);
    expect(store().groups()).toEqual(["g", "h"]);
    expect([store().hasGroup("g"), store().hasGroup("i")]).toEqual([true, false]);
  });

  test("[GRP-9] a subscriber to a topic or a pattern is remembered once for each", () => {
    for (let i = 0; i < 2; i++) {
      store().subscribe("g", "a");
      store().subscribeToPattern("g", "a.*");
    }
    store().subscribe("h", "a");
    store().subscribe("h", "b");
    store().subscribeToPattern("h", "a.*");
    store().subscribeToPattern("h", "b");
    expect(store().subscribers("a").sort()).toEqual(["g", "h"]);
    expect([store().subscribers("b"), store().subscribers("c")]).toEqual([["h"], []]);
    expect([store().patternsOf("g"), store().patternsOf("i")]).toEqual([["a.*"], []]);
    expect([...store().patternsFor("a1")]).toEqual([["a.*", ["g", "h"]]]);
    expect([...store().patternsFor("b")]).toEqual([["b", ["h"]]]);
    expect([...store().patternsFor("c")]).toEqual([]);
  });

  test("[GRP-10] nothing is left of a deleted group, and everything of the others", () => {
    for (const group of ["g", "h"]) {
      store().putGroup(group);
      store().noteGroupMade(group);
      store().noteGroupMade(group);
      store().subscribe(group, "a");
      store().subscribeToPattern(group, "a.*");
    }
    store().deleteGroup("g");
    expect([store().groups(), store().isGroupMade("g"), store().isGroupMade("h")]).toEqual([
      ["h"],
      false,
      true,
    ]);
    expect([store().subscribers("a"), store().patternsOf("g"), store().patternsOf("h")]).toEqual([
      ["h"],
      [],
      ["a.*"],
    ]);
  });

  test("[CLK-5] the newest incarnation of a deleted group is kept", () => {
    expect(store().retiredIncarnation()).toBe(0);
    store().setRetiredIncarnation(7);
    store().setRetiredIncarnation(9);
    expect(store().retiredIncarnation()).toBe(9);
  });
});

describe("tasks", () => {
  const task = (topicId: string): Task => ({ type: "configure-topic", topicId });

  const stored = () => store().tasksAfter(0, 1_000).tasks;

  test("[CLU-4] they are kept in order until each is done", () => {
    const added = ["a", "b", "c"].map((topicId) => store().addTask(task(topicId)));
    expect(stored()).toEqual(added);
    store().deleteTask(added[1]?.id ?? -1);
    expect(stored().map((each) => each.task)).toEqual([task("a"), task("c")]);
    expect(store().hasTasks).toBe(true);
    for (const { id } of stored()) store().deleteTask(id);
    expect([stored(), store().hasTasks]).toEqual([[], false]);
  });

  test("[CLU-8] they are read in pages, however many there are", () => {
    const one = store();
    const all = Array.from({ length: 2_500 }, (_, i) => one.addTask(task(`t${i}`)));
    const found = [];
    for (let after = 0; ; ) {
      const { tasks, lastId } = one.tasksAfter(after, 1_000);
      if (lastId === null) break;
      expect(tasks.length).toBeLessThanOrEqual(1_000);
      found.push(...tasks);
      after = lastId;
    }
    expect(found).toEqual(all);
  });

  test("[CLU-4] a change that fails leaves neither its topic nor its tasks", () => {
    const failing = () =>
      store().transaction(() => {
        store().putTopic(topic("a"));
        store().addTask(task("a"));
        throw new Error("disk full");
      });
    expect(failing).toThrow("disk full");
    expect([store().topics(), stored()]).toEqual([[], []]);
  });
});

describe("the audit log", () => {
  const event = (action: string, decision: AuditEvent["decision"]): AuditEvent => ({
    at: "2026-01-01T00:00:00.000Z",
    resource: { type: "topic", name: '"decision":"allowed"' },
    principal: "User:a",
    way: "http",
    decision,
    action,
  });
  const change = (action: string) => event(action, "allowed");
  const refusals = (count: number) => Array.from({ length: count }, () => event("READ", "refused"));
  /** All lines, page by page. */
  function listed(pageLength: number) {
    const all: KeptEvent[] = [];
    for (;;) {
      const page = store().access.events(pageLength, all.at(-1)?.number ?? null);
      if (page.length === 0) return all;
      all.push(...page);
    }
  }

  test("[AUD-2] refusals displace refusals, and no change", () => {
    store().access.addEvents([change("first"), ...refusals(3), change("second")]);
    store().access.addEvents(refusals(MAX_AUDIT_EVENTS));
    store().access.addEvents([...refusals(7), change("third")]);
    const all = listed(1_000);
    const changes = all.filter(({ decision }) => decision === "allowed");
    expect(changes.map(({ action }) => action)).toEqual(["third", "second", "first"]);
    expect(all).toHaveLength(MAX_AUDIT_EVENTS + 3);
    expect(all[0]?.number).toBe(MAX_AUDIT_EVENTS + 13);
  });

  test("[AUD-2] changes displace the oldest changes, and no refusal", () => {
    store().access.addEvents(refusals(2));
    store().access.addEvents(Array.from({ length: MAX_AUDIT_EVENTS }, () => change("more")));
    store().access.addEvents([change("last")]);
    const all = listed(1_000);
    expect(all).toHaveLength(MAX_AUDIT_EVENTS + 2);
    expect(all[0]?.action).toBe("last");
    expect(all.slice(-2).map(({ number, decision }) => [number, decision])).toEqual([
      [2, "refused"],
      [1, "refused"],
    ]);
  });

  test("[AUD-1] both kinds are listed together, newest first, in pages", () => {
    for (let i = 0; i < 20; i++)
      store().access.addEvents(i % 3 === 0 ? [change(`${i}`)] : refusals(1));
    const numbers = Array.from({ length: 20 }, (_, i) => 20 - i);
    for (const pageLength of [1, 7, 20, 100])
      expect(listed(pageLength).map(({ number }) => number)).toEqual(numbers);
    expect(
      store()
        .access.events(2, 5)
        .map(({ number }) => number),
    ).toEqual([4, 3]);
  });

  test("[VER-1] the lines of a release that kept both kinds in one table are listed, and continue", () => {
    store().putGroup("g");
    const lines = [change("before"), ...refusals(2), change("after")];
    const first = MAX_AUDIT_EVENTS - 2;
    for (const [i, line] of lines.entries())
      storage.sql.exec(
        "INSERT INTO audit (slot, number, event) VALUES (?, ?, ?)",
        (first + i) % MAX_AUDIT_EVENTS,
        first + i,
        JSON.stringify(line),
      );
    storage.sql.exec("DROP TABLE audit_changes");
    storage.sql.exec("DROP TABLE audit_refusals");
    storage.sql.exec("UPDATE schema_version SET version = 4");
    expect(listed(3).map(({ number, action }) => [number, action])).toEqual([
      [first + 3, "after"],
      [first + 2, "READ"],
      [first + 1, "READ"],
      [first, "before"],
    ]);
    store().access.addEvents([change("later")]);
    store().access.addEvents(refusals(MAX_AUDIT_EVENTS));
    const changes = listed(1_000).filter(({ decision }) => decision === "allowed");
    expect(changes.map(({ action }) => action)).toEqual(["later", "after", "before"]);
  });
});

test("[CLU-2] the storage of an older release is read, and accepts new data", () => {
  store().putTopic(topic("a"));
  storage.sql.exec("DROP TABLE groups_made");
  storage.sql.exec("DROP TABLE partition_use");
  storage.sql.exec("DROP TABLE schema_version");
  expect([store().topics(), store().isGroupMade("g"), store().usedPartitions("id-of-a")]).toEqual([
    [topic("a")],
    false,
    null,
  ]);
  store().noteGroupMade("g");
  store().noteLogEnd("id-of-a", 0, 4);
  expect([store().isGroupMade("g"), store().usePartition("id-of-a", 0, false)]).toEqual([true, 4]);
});
