// Answers that lack fields, and answers of servers that are not a broker.
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runHere } from "../../e2e/cli-here.ts";

let server: Server;
let answer = "{}";
let status = 200;
beforeAll(async () => {
  server = createServer((_, response) => {
    response.statusCode = status;
    response.end(answer);
  }).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
});
afterAll(() => server.close());

function run(args: readonly string[], body: string, code = 200) {
  answer = body;
  status = code;
  const { port } = server.address() as AddressInfo;
  return runHere(args, "a\n", {
    XDG_CONFIG_HOME: "/nowhere",
    RIVULET_URL: `http://127.0.0.1:${port}`,
    RIVULET_TOKEN: "",
  });
}

const COMMANDS = [
  "topics create a",
  "topics list",
  "topics list-deleted",
  "topics describe a",
  "topics alter a -p 2",
  "topics delete-records a --partition 0 --before 1",
  "topics undelete a",
  "configs describe",
  "configs alter -c a=b",
  "groups list",
  "groups describe g",
  "groups lag g",
  "groups config g",
  "groups alter g -c a=b",
  "groups history g",
  "groups reset g --to latest",
  "keys create --principal p --role read",
  "keys list",
  "keys alter k --expires never",
  "tokens create",
  "whoami",
  "access check --cluster",
  "alerts list",
  "alerts show a",
  "alerts set a --type budget",
  "costs",
  "doctor",
  "recover cluster --to 2026-01-01 --yes",
  "produce a",
  "consume a --exit",
  "consume a --group g --exit",
  "export a --to /nowhere/a",
  "kafka-bridge -p 0",
].map((line) => line.split(" "));

describe("a server that is not a broker", () => {
  test.each(COMMANDS)("[CLI-24] %s %s reports an answer without its fields", async (...args) => {
    for (const options of [[], ["--json"]]) {
      const { code, out, err } = await run([...options, ...args], "{}");
      expect({ code, out }).toEqual({ code: 1, out: "" });
      expect(err).toMatch(
        /^the answer has no \w+: not a Rivulet broker, or one of an older release\nIs the broker running\?/,
      );
    }
  });

  test.each(["<html></html>", "null", "", "5"])(
    "[CLI-24] the answer %j is the same error for each command",
    async (body) => {
      for (const args of [
        ["doctor"],
        ["topics", "list"],
        ["recover", "cluster", "--to", "0", "-y"],
      ])
        expect(await run(args, body)).toEqual({
          code: 1,
          out: "",
          err: expect.stringMatching(/^HTTP 200: not a Rivulet broker\nIs the broker running\?/),
        });
    },
  );
});

describe("an older broker", () => {
  test("[CLI-24] lists that it does not have are empty, and other fields a dash", async () => {
    const group = JSON.stringify({
      ...{ groupId: "g", state: "STABLE", epoch: 1, assignor: "uniform", offsets: [] },
      members: [{ memberId: "m", clientId: "c", connected: true }],
    });
    expect((await run(["groups", "describe", "g"], group)).out).toContain(
      "c       m       nothing",
    );
    const alerts = JSON.stringify({ alerts: [{ name: "late", type: "group-lag", match: "*" }] });
    expect((await run(["alerts", "list"], alerts)).out).toMatch(/\nlate .* 0 +- +-\n$/);
    const topics = JSON.stringify({ topics: [{ name: "a" }] });
    expect((await run(["topics", "list"], topics)).out).toMatch(/\na +- +- +-\n$/);
  });
});

test("[CLI-22] ids and names of a hostile server are shown without control characters", async () => {
  const evil = "a\x1b[2J\nState:  GONE";
  const shown = "a\\x1b[2J\\x0aState:  GONE";
  const group = { groupId: evil, state: "EMPTY", epoch: 1, assignor: "uniform" };
  const described = JSON.stringify({ ...group, members: [], offsets: [] });
  const text = (await run(["groups", "describe", "g"], described)).out;
  expect(text).toMatch(/^Group: {2}a\\x1b\[2J\\x0aState: {2}GONE\nState: {2}EMPTY at epoch 1/);
  const topics = JSON.stringify({ topics: [{ name: evil, partitions: 1 }] });
  expect((await run(["topics", "list"], topics)).out).toContain(`\n${shown}  `);
  const caller = JSON.stringify({ principal: evil, grants: [] });
  expect((await run(["whoami"], caller)).out).toBe(`Principal: ${shown}\nGrants:    none\n`);
  expect(JSON.parse((await run(["--json", "whoami"], caller)).out).principal).toBe(evil);
  const wrong = JSON.stringify({ code: "INVALID_REQUEST", detail: evil });
  expect((await run(["alerts", "list"], wrong, 400)).err).toBe(`INVALID_REQUEST: ${shown}\n`);
});

describe("wrong use", () => {
  test.each([
    [["produce", ""], "the name of the topic is empty"],
    [["consume", ""], "the name of the topic is empty"],
    [["consume", "a", ""], "the name of the topic is empty"],
    [["groups", "describe", ""], "the name of the group is empty"],
    [["topics", "create", ""], "the name is empty"],
    [["consume", "a", "--group", ""], "--group is empty"],
    [["produce", "a", "--array", "--key-separator", ":"], "--key-separator goes without --array"],
  ])("[CLI-25] %j is rejected: %s", async (args, err) => {
    expect(await run(args, "{}")).toMatchObject({
      ...{ code: 2, out: "" },
      err: expect.stringContaining(err),
    });
  });
});
