import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { COMPATIBILITY_DATE } from "../../../src/self-host/workerd-config.ts";
import { cacheOf, findWorkerd, installWorkerd } from "../../../src/self-host/workerd-package.ts";

const VERSION = "1.20990101.0";
const TOO_OLD = "2020-01-01";

let folder: string;
beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), "rivulet-workerd-")));
  vi.stubEnv("XDG_CACHE_HOME", join(folder, "cache"));
  vi.spyOn(process, "cwd").mockReturnValue(join(folder, "working"));
});
afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true });
});

/** Puts a package named workerd into a folder. Its binary has the name `path`. */
function install(into: string, path: string, compatibilityDate: string): void {
  const place = join(into, "node_modules/workerd");
  mkdirSync(place, { recursive: true });
  writeFileSync(join(place, "package.json"), '{ "main": "main.js" }');
  const module = { default: path, compatibilityDate };
  writeFileSync(join(place, "main.js"), `module.exports = ${JSON.stringify(module)}`);
}

const found = () => findWorkerd(VERSION, join(folder, "project/rivulet.js"))?.path ?? null;

test("[PKG-9] workerd is the project's, else that of the working folder, else that in the cache", () => {
  expect(found()).toBe(null);
  install(cacheOf(VERSION), "cached", COMPATIBILITY_DATE);
  expect(found()).toBe("cached");
  install(join(folder, "working"), "working", COMPATIBILITY_DATE);
  expect(found()).toBe("working");
  install(join(folder, "project"), "project", COMPATIBILITY_DATE);
  expect(found()).toBe("project");
});

test("[PKG-9] a workerd that does not know the Worker's compatibility date is passed over", () => {
  install(join(folder, "project"), "project", TOO_OLD);
  expect(found()).toBe(null);
  install(join(folder, "working"), "working", "2099-01-01");
  expect(found()).toBe("working");
});

test("[PKG-9] each version has a folder of its own in the cache", () => {
  expect(cacheOf(VERSION)).toBe(join(folder, "cache", "rivulet", `workerd-${VERSION}`));
});

test("[PKG-9] an install removes what interrupted ones have left, and nothing else", async () => {
  const ended = spawnSync(process.execPath, ["--version"]).pid;
  const cache = join(folder, "cache/rivulet");
  const other = "workerd-1.20260101.0";
  const kept = [other, `${other}.${process.ppid}`, `workerd-${VERSION}.old`, "other.1"];
  for (const name of [...kept, `${other}.${ended}`, `workerd-${VERSION}.${ended}`])
    mkdirSync(join(cache, name, "node_modules"), { recursive: true });
  const programs = join(folder, "programs");
  mkdirSync(programs);
  writeFileSync(join(programs, "npm"), "#!/bin/sh\nexit 3\n", { mode: 0o755 });
  vi.stubEnv("PATH", programs);
  await expect(installWorkerd(VERSION)).rejects.toThrow("npm ended with exit code 3");
  expect(readdirSync(cache).sort()).toEqual([...kept].sort());
});
