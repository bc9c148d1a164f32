import { describe, expect, test } from "vitest";
import { subscribes, whyNotTopicPattern } from "../../../../src/core/group/topic-pattern.ts";
import { MAX_TOPIC_PATTERN_LENGTH } from "../../../../src/core/limits.ts";
import { GroupScenario } from "../../../support/group-scenario.ts";

const MINUTE_MS = 60_000;

function matches(topicPattern: string, name: string): boolean {
  return subscribes({ topics: [], topicPattern }, name);
}

function assigned(group: GroupScenario, memberId: string): string[] {
  return [...(group.state.members.get(memberId)?.assigned ?? [])].sort();
}

describe("subscriptions by pattern", () => {
  test("[PAT-1] a pattern matches whole names", () => {
    expect(matches("orders-.*", "orders-eu")).toBe(true);
    expect(matches("orders", "orders-eu")).toBe(false);
    expect(matches("(?i)ORDERS", "orders")).toBe(true);
  });

  test("[PAT-1] a member has the partitions of all topics that match, and of those created later", () => {
    const group = new GroupScenario({ "a-1": 1, "a-2": 2, b: 1 });
    group.join("m1", { topics: [], topicPattern: "a-.*" });
    expect(assigned(group, "m1")).toEqual(["a-1:0", "a-2:0", "a-2:1"]);
    group.createTopic("a-3", 1);
    expect(assigned(group, "m1")).toEqual(["a-1:0", "a-2:0", "a-2:1", "a-3:0"]);
    group.createTopic("c", 1);
    expect(assigned(group, "m1")).not.toContain("c:0");
  });

  test("[PAT-1] names and a pattern add up, and members may differ", () => {
    const group = new GroupScenario({ "a-1": 1, b: 1 });
    group.join("m1", { topics: ["b"], topicPattern: "a-.*" });
    group.join("m2", { topics: ["b"] });
    group.revoked("m1");
    const all = [...assigned(group, "m1"), ...assigned(group, "m2")].sort();
    expect(all).toEqual(["a-1:0", "b:0"]);
    expect(assigned(group, "m2")).toEqual(["b:0"]);
  });

  test("[PAT-1] a change of the pattern alone rebalances", () => {
    const group = new GroupScenario({ a: 1, b: 1 });
    group.join("m1", { topics: [], topicPattern: "a" });
    const epoch = group.state.members.get("m1")?.memberEpoch ?? 0;
    group.join("m1", { topics: [], topicPattern: "b", memberEpoch: epoch, owned: ["a:0"] });
    group.revoked("m1");
    expect(assigned(group, "m1")).toEqual(["b:0"]);
  });

  test.each([
    "(",
    "a{1001}",
    ".{0,600}",
    "(a{1000}){1000}",
    "(?<n",
    "",
    "x".repeat(MAX_TOPIC_PATTERN_LENGTH + 1),
  ])("[PAT-2] refused: %.20s", (pattern) => {
    expect(whyNotTopicPattern(pattern)?.error).toBe("INVALID_REGULAR_EXPRESSION");
  });

  test("[PAT-1] a pattern that would hang a backtracking matcher is answered", () => {
    const names = ["a".repeat(249), `${"a".repeat(248)}!`];
    for (const pattern of ["(a+)+b", "(a|a)*b", "(.*)*b", "(a*)*(a*)*(a*)*b"])
      for (const name of names) expect(matches(pattern, name)).toBe(false);
  });
});

describe("the group's config", () => {
  test("[GCF-2] range instead of uniform, at once", () => {
    const group = new GroupScenario({ t: 4 });
    group.join("m1");
    group.join("m2");
    group.revoked("m1");
    expect(group.alterConfig({ "consumer.assignor": "range" }).ok).toBe(true);
    group.revoked("m1");
    group.revoked("m2");
    expect(assigned(group, "m1")).toEqual(["t:0", "t:1"]);
    expect(assigned(group, "m2")).toEqual(["t:2", "t:3"]);
  });

  test("[GCF-3] beyond group.max.size nobody joins", () => {
    const group = new GroupScenario();
    group.alterConfig({ "group.max.size": 2 });
    expect(group.join("m1").ok && group.join("m2").ok).toBe(true);
    expect(group.join("m3")).toMatchObject({ error: "GROUP_MAX_SIZE_REACHED" });
    group.alterConfig({ "group.max.size": null });
    expect(group.join("m3").ok).toBe(true);
  });

  test("[GCF-3] a session timeout outside the group's bounds is refused", () => {
    const group = new GroupScenario();
    group.alterConfig({
      "consumer.min.session.timeout.ms": 5_000,
      "consumer.max.session.timeout.ms": 10_000,
    });
    for (const sessionTimeoutMs of [4_999, 10_001])
      expect(group.join("m1", { sessionTimeoutMs })).toMatchObject({
        error: "INVALID_SESSION_TIMEOUT",
        detail: expect.stringContaining(`${sessionTimeoutMs}`),
      });
    expect(group.join("m1", { sessionTimeoutMs: 5_000 }).ok).toBe(true);
  });

  test.each([
    [{ "consumer.assignor": "sticky" }, "uniform or range"],
    [{ "group.max.size": 0 }, "1 to 1000"],
    [{ "group.max.size": 1001 }, "1 to 1000"],
    [{ "offsets.retention.minutes": "soon" }, "whole number"],
    [{ "consumer.auto.offset.reset": "by_duration:1h" }, "ISO 8601"],
    [{ "consumer.heartbeat.interval.ms": 99 }, "100 to 15000"],
    [{ "consumer.heartbeat.interval.ms": 15_001 }, "100 to 15000"],
    [{ "consumer.session.timeout.ms": 999 }, "1000 to 1800000"],
    [
      { "consumer.session.timeout.ms": 9_000, "consumer.min.session.timeout.ms": 9_001 },
      "9001 to 1800000",
    ],
    [
      { "consumer.session.timeout.ms": 9_000, "consumer.max.session.timeout.ms": 8_999 },
      "1000 to 8999",
    ],
    [{ unknown: 1 }, "known:"],
    [
      { "consumer.min.session.timeout.ms": 9000, "consumer.max.session.timeout.ms": 8000 },
      "at most",
    ],
  ])("[GCF-1] %j is rejected and changes nothing", (changes, bound) => {
    const group = new GroupScenario();
    group.join("m1");
    const before = structuredClone(group.state.overrides);
    expect(group.alterConfig({ ...changes })).toMatchObject({
      error: "INVALID_CONFIG",
      detail: expect.stringContaining(bound),
    });
    expect(group.state.overrides).toEqual(before);
  });

  test("[GCF-1] a group can be configured before anybody joins", () => {
    const group = new GroupScenario({ t: 4 });
    group.alterConfig({ "consumer.assignor": "range" });
    expect(group.coordinator.stateName).toBe("EMPTY");
    group.join("m1");
    group.join("m2");
    group.revoked("m1");
    expect(assigned(group, "m1")).toEqual(["t:0", "t:1"]);
  });
});

describe("expiry of offsets", () => {
  function committedGroup(): GroupScenario {
    const group = new GroupScenario({ t: 2 });
    group.alterConfig({ "offsets.retention.minutes": 10 });
    group.join("m1");
    group.commit("m1", { "t:0": 5 });
    return group;
  }

  test("[OFF-10] an empty group forgets its committed offsets after the retention, counted from when it was left", () => {
    const group = committedGroup();
    group.advance(60 * MINUTE_MS);
    group.leave("m1");
    group.advance(10 * MINUTE_MS - 1);
    expect(group.state.offsets.get("t:0")?.offset).toBe(5);
    group.advance(1);
    expect(group.state.offsets.size).toBe(0);
    expect(group.state.topics.size).toBe(0);
  });

  test("[OFF-10] nothing is forgotten while there are members", () => {
    const group = committedGroup();
    group.advance(1_000 * MINUTE_MS);
    expect(group.state.offsets.size).toBe(1);
    expect(group.coordinator.offsets.isDead(group.nowMs)).toBe(false);
  });

  test("[OFF-10] a member that joins in time keeps them", () => {
    const group = committedGroup();
    group.leave("m1");
    group.advance(9 * MINUTE_MS);
    group.join("m2");
    group.advance(9 * MINUTE_MS);
    group.leave("m2");
    group.advance(9 * MINUTE_MS);
    expect(group.state.offsets.get("t:0")?.offset).toBe(5);
  });

  test("[OFF-10] a group without config is dead then, and one with a config stays", () => {
    const group = committedGroup();
    group.leave("m1");
    group.advance(10 * MINUTE_MS);
    expect(group.coordinator.offsets.isDead(group.nowMs)).toBe(false);
    group.alterConfig({ "offsets.retention.minutes": null });
    expect(group.coordinator.offsets.isDead(group.nowMs)).toBe(false);
    group.advance(7 * 24 * 60 * MINUTE_MS);
    expect(group.coordinator.offsets.isDead(group.nowMs)).toBe(true);
  });

  test("[OFF-10] a reset while it is empty counts from the reset", () => {
    const group = committedGroup();
    group.leave("m1");
    group.advance(9 * MINUTE_MS);
    group.reset({ "t:0": 1 });
    group.advance(9 * MINUTE_MS);
    expect(group.state.offsets.get("t:0")?.offset).toBe(1);
  });
});
