import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

function read(path: string) {
  return JSON.parse(readFileSync(path, "utf8"));
}

test("[PKG-4] the package asks for no other: a clone's are for development, and workerd is optional", () => {
  const { peerDependencies, peerDependenciesMeta, ...others } = read("package.json");
  expect(Object.keys(others).filter((key) => /dependencies/i.test(key))).toEqual([
    "devDependencies",
  ]);
  expect(Object.keys(peerDependencies)).toEqual(["workerd"]);
  expect(peerDependenciesMeta).toEqual({ workerd: { optional: true } });
  const { "": _root, ...packages } = read("package-lock.json").packages;
  const installed = Object.entries(packages as Record<string, { dev?: true; devOptional?: true }>)
    .filter(([, { dev, devOptional }]) => !dev && !devOptional)
    .map(([path]) => path);
  expect(installed).toEqual([]);
});

test("[PKG-4] no script runs where the package is installed", () => {
  const scripts = Object.keys(read("package.json").scripts);
  expect(scripts.filter((name) => /^(pre|post)?install$/.test(name))).toEqual([]);
});

test("[SYS-8] npm's scripts run in every shell, cmd of Windows too", () => {
  const scripts: Record<string, string> = read("package.json").scripts;
  // A variable set before a command, one that is read, quotes, and commands and lists that cmd does not have.
  const notInCmd = /^\w+=|&& \w+=|\$|['`;]|(?:^|&& )(?:rm|cp|mv|mkdir|export|\.\/)/;
  expect(notInCmd.test("EFFORT=20 npm test")).toBe(true);
  expect(Object.values(scripts).filter((command) => notInCmd.test(command))).toEqual([]);
});
