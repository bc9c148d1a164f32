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
