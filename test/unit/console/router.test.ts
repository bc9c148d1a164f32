import { expect, test } from "vitest";
import { parseRoute, paths, type Route } from "../../../src/console/router.ts";

const NAMES = ["orders", "a b", "a/b", "100%", "ä ö", "?#&", "<img src=x>"];

const PAGES: readonly (readonly [string, Route])[] = [
  [paths.overview, { page: "overview" }],
  ["/console/", { page: "overview" }],
  [paths.groups(), { page: "groups", prefix: "", after: "" }],
  [paths.topics(), { page: "topics", prefix: "", after: "" }],
  [paths.deletedTopics, { page: "deleted-topics" }],
  [paths.access, { page: "access" }],
  [paths.audit, { page: "audit" }],
  [paths.health, { page: "health" }],
  ...NAMES.flatMap((name): (readonly [string, Route])[] => [
    [paths.group(name), { page: "group", group: name, tab: "assignment" }],
    [paths.group(name, "history"), { page: "group", group: name, tab: "history" }],
    [paths.topic(name), { page: "topic", topic: name, tab: "records" }],
    [paths.topic(name, "config"), { page: "topic", topic: name, tab: "config" }],
    [paths.record(name, 3, 42), { page: "record", topic: name, partition: 3, offset: "42" }],
  ]),
];

test.each(PAGES)("[CON-13] %s is the address of a page", (path, route) => {
  expect(parseRoute(path)).toEqual(route);
});

test("[CON-13] [CON-7] the place in a list is part of the address", () => {
  const path = paths.topics({ prefix: "a b", after: "a b&c" });
  const { pathname, search } = new URL(path, "http://localhost");
  expect(parseRoute(pathname, search)).toEqual({ page: "topics", prefix: "a b", after: "a b&c" });
});

test.each([
  "/consoles",
  "/console/nothing",
  "/console/groups/g/nothing",
  "/console/groups/g/history/more",
  "/console/topics/t/records/0",
  "/console/topics/t/records/0/-1",
  "/console/topics/t/records/0/1/2",
  "/console/health/more",
  "/console/groups/%FF",
])("[CON-13] %s is the address of no page", (path) => {
  expect(parseRoute(path)).toEqual({ page: "unknown", path });
});
