// Continuous integration, read as text.
import { existsSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";

const workflow = readFileSync(".github/workflows/ci.yml", "utf8");
const { scripts } = JSON.parse(readFileSync("package.json", "utf8"));

test("[SYS-10] the workflow runs on each system and Node, and what it runs exists", () => {
  expect(workflow).toContain("os: [ubuntu-latest, macos-latest, windows-latest]");
  expect(workflow).toContain("node: [20, 22, 24]");
  const commands = [...workflow.matchAll(/\brun: (.*)/g)].map(([, command = ""]) => command);
  expect(commands).toEqual(
    expect.arrayContaining([
      "npm install",
      "npm test",
      "npm run check",
      "node test/smoke.mjs",
      ".ci/run",
    ]),
  );
  const named = commands.flatMap((command) => /^npm run (\S+)/.exec(command)?.[1] ?? []);
  expect(named.filter((name) => !(name in scripts))).toEqual([]);
  const files = commands.flatMap((command) => /^(?:node )?(\S*\/\S+)/.exec(command)?.[1] ?? []);
  expect(files.filter((path) => !existsSync(path))).toEqual([]);
});

test("[SYS-10] its actions are pinned by major version", () => {
  const actions = [...workflow.matchAll(/uses: (\S+)/g)].map(([, action = ""]) => action);
  expect(actions.length).toBeGreaterThan(0);
  expect(actions.filter((action) => !/^actions\/[\w-]+@v\d+$/.test(action))).toEqual([]);
});
