// The template as somebody has it who installs the package and runs `rivulet init`: its types and its own test.
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { FreshProject } from "./fresh-project.ts";
import { ROOT, run, succeed } from "./run.ts";

let project: FreshProject;
let folder: string;
const inFolder = (command: string, ...args: readonly string[]) =>
  succeed(run({ cwd: folder }, command, ...args));

beforeAll(async () => {
  project = await FreshProject.create();
  folder = join(project.folder, "my-shop");
  await project.run("npx", "--offline", "rivulet", "init", "my-shop", "--package", project.tarball);
  await install();
}, 120_000);
afterAll(() => project.remove());

/** Installs the package as npm does. The tools are those of this tree, so that nothing is fetched. */
async function install(): Promise<void> {
  const path = join(folder, "package.json");
  const text = readFileSync(path, "utf8");
  const { devDependencies, ...own } = JSON.parse(text);
  writeFileSync(path, JSON.stringify(own));
  await inFolder("npm", "install", "--offline");
  writeFileSync(path, text);
  for (const name of Object.keys(devDependencies)) {
    const link = join(folder, "node_modules", name);
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync(join(ROOT, "node_modules", name), link);
  }
}

const tool = (path: string) => join(folder, "node_modules", path);

test("[TPL-2] the template's project passes its typecheck", async () => {
  await inFolder("node", tool("typescript/bin/tsc"));
});

test("[TPL-2] the template's project passes its own test, beside the broker of the package", async () => {
  const { all } = await inFolder("node", tool("vitest/vitest.mjs"), "run");
  expect(all).toMatch(/Tests\s+3 passed/);
});
