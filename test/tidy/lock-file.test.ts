import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

interface Package {
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly resolved?: string;
}

const { packages } = JSON.parse(readFileSync("package-lock.json", "utf8")) as {
  packages: Readonly<Record<string, Package>>;
};

/** True if the package at this path finds the other one as Node looks for it: beside itself, and further up. */
function finds(path: string, name: string): boolean {
  if (`${path === "" ? "" : `${path}/`}node_modules/${name}` in packages) return true;
  if (path === "") return false;
  return finds(path.slice(0, Math.max(0, path.lastIndexOf("/node_modules/"))), name);
}

test("[SYS-6] the lock file names what every platform needs, whoever wrote it", () => {
  const wanted = Object.entries(packages).flatMap(([path, { optionalDependencies = {} }]) =>
    Object.keys(optionalDependencies).map((name) => ({ path, name })),
  );
  expect(wanted.filter(({ path, name }) => !finds(path, name))).toEqual([]);
});

test.each([
  ["macOS", "@cloudflare/workerd-darwin-arm64", "@esbuild/darwin-arm64"],
  ["an older Mac", "@cloudflare/workerd-darwin-64", "@esbuild/darwin-x64"],
  ["Linux", "@cloudflare/workerd-linux-64", "@esbuild/linux-x64"],
  ["Linux on ARM", "@cloudflare/workerd-linux-arm64", "@esbuild/linux-arm64"],
  ["Windows", "@cloudflare/workerd-windows-64", "@esbuild/win32-x64"],
])("[SYS-6] %s gets its binaries", (_, ...names) => {
  expect(names.filter((name) => !finds("", name))).toEqual([]);
});

test("[SYS-6] the lock file names no host except npm's", () => {
  const hosts = new Set(
    Object.values(packages).flatMap(({ resolved }) =>
      resolved === undefined ? [] : [new URL(resolved).host],
    ),
  );
  expect([...hosts].filter((host) => host !== "registry.npmjs.org")).toEqual([]);
});
