// rivulet init: what it writes, and what it refuses.
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { UsageError } from "../../../src/cli/context.ts";
import { createProgram } from "../../../src/cli/program.ts";

let folder: string;
let printed: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "rivulet-init-"));
  printed = "";
  vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    printed += text;
    return true;
  });
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

const init = (...args: readonly string[]) =>
  createProgram().parseAsync(["init", ...args], { from: "user" });
const read = (...path: readonly string[]) => readFileSync(join(folder, ...path), "utf8");
const project = (...path: readonly string[]) => JSON.parse(read(...path, "package.json"));

test("[TPL-1] init writes the template's files, under the names that tools look for", async () => {
  await init(join(folder, "my-shop"));
  const files = readdirSync(join(folder, "my-shop"), { recursive: true }).map(String);
  expect(files).toEqual(expect.arrayContaining([".gitignore", join("broker", ".dev.vars")]));
  expect(files).not.toContain("gitignore");
  expect(printed).toContain("npm install\n  npm test\n  npm run dev\n");
  for (const path of ["package.json", "wrangler.toml", "README.md", "src/index.ts"])
    expect(read("my-shop", path)).not.toContain("my-worker");
  expect(read("my-shop", "wrangler.toml")).toMatch(/^name = "my-shop"$/m);
});

test("[TPL-1] the project depends on the command's release, or on what --package names", async () => {
  await init(join(folder, "one"));
  expect(project("one").dependencies).toEqual({ rivulet: "^0.0.0" }); // The version that tests are built with.
  await init(join(folder, "two"), "--package", "0.3.1");
  expect(project("two").dependencies).toEqual({ rivulet: "0.3.1" });
  const tarball = join(folder, "rivulet.tgz");
  writeFileSync(tarball, "");
  await init(join(folder, "three"), "--package", tarball);
  expect(project("three")).toMatchObject({
    name: "three",
    dependencies: { rivulet: `file:${tarball}` },
  });
});

test.each([
  {
    installed: "20.11.1",
    hint: /needs Node 22\.12 or newer, and this machine has 20\.11\.1: .*node@24/,
  },
  { installed: "22.11.0", hint: /has 22\.11\.0/ },
  { installed: "22.12.0", hint: null },
  { installed: "24.1.0", hint: null },
])(
  "[TPL-5] beside Node $installed, init says whether the project needs another",
  async ({ installed, hint }) => {
    // npx puts the folder of its own Node first.
    const nodes = { [join("clone", "node_modules", ".bin")]: "24.0.0", bin: installed };
    for (const [place, version] of Object.entries(nodes)) {
      mkdirSync(join(folder, place), { recursive: true });
      writeFileSync(join(folder, place, "node"), `#!/bin/sh\necho v${version}\n`, { mode: 0o755 });
    }
    const places = Object.keys(nodes).map((place) => join(folder, place));
    vi.stubEnv("PATH", places.join(delimiter));
    await init(join(folder, "my-shop"));
    if (hint === null) expect(printed).not.toContain("node@24");
    else expect(printed).toMatch(hint);
  },
);

test("[TPL-1] an empty folder is filled, and one with files is left alone", async () => {
  const place = join(folder, "my-shop");
  mkdirSync(place);
  await init(place);
  expect(existsSync(join(place, "package.json"))).toBe(true);
  rmSync(join(place, "package.json"));
  await expect(init(place)).rejects.toThrow(UsageError);
  expect(existsSync(join(place, "package.json"))).toBe(false);
});

test.each(["My-Shop", "-shop", "my_shop", "s".repeat(64), "rivulet"])(
  "[TPL-1] a folder %s is refused, because no Worker of the project may have its name",
  async (name) => {
    await expect(init(join(folder, name))).rejects.toThrow(/1 to 63 lower-case letters/);
    expect(readdirSync(folder)).toEqual([]);
  },
);

test.each([
  ["file", "is not a folder"],
  ["file/below", "file is not a folder"],
  ["dangling", "is a link to nothing"],
  ["dangling/below", "dangling is a link to nothing"],
])("[TPL-1] %s is refused as a target: it %s", async (path, why) => {
  writeFileSync(join(folder, "file"), "kept");
  symlinkSync(join(folder, "nowhere"), join(folder, "dangling"));
  const made = init(join(folder, path));
  await expect(made).rejects.toThrow(UsageError);
  await expect(made).rejects.toThrow(why);
  expect(readdirSync(folder).sort()).toEqual(["dangling", "file"]);
});

test("[TPL-1] a link to an empty folder is a target", async () => {
  mkdirSync(join(folder, "real"));
  symlinkSync(join(folder, "real"), join(folder, "my-shop"));
  await init(join(folder, "my-shop"));
  expect(existsSync(join(folder, "real/package.json"))).toBe(true);
});

test.each([
  ["", "--package is empty"],
  [" ", "--package is empty"],
  ["./rivulet.tgz", "there is no such file"],
  ["../gone", "there is no such file"],
  ["/gone/rivulet-0.3.0.tar.gz", "there is no such file"],
  ["rivulet-0.3.0.tgz", "there is no such file"],
  ["C:\\gone.tgz", "there is no such file"],
])("[TPL-1] --package %j is refused: %s", async (spec, why) => {
  const made = init(join(folder, "my-shop"), "--package", spec);
  await expect(made).rejects.toThrow(UsageError);
  await expect(made).rejects.toThrow(why);
  expect(readdirSync(folder)).toEqual([]);
});

test.each(["0.3.1", "~0.3.1", "latest", "https://example.com/rivulet.tgz", "npm:other@1"])(
  "[TPL-1] --package %s is written as it is",
  async (spec) => {
    await init(join(folder, "my-shop"), "--package", spec);
    expect(project("my-shop").dependencies).toEqual({ rivulet: spec });
  },
);

test("[TPL-1] JSON tells the folder, the name and the files", async () => {
  await createProgram().parseAsync(["--json", "init", join(folder, "my-shop")], { from: "user" });
  const { path, name, files } = JSON.parse(printed);
  expect({ path, name }).toEqual({ path: join(folder, "my-shop"), name: "my-shop" });
  expect(files).toContain("package.json");
});
