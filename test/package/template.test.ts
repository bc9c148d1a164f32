// The template as somebody has it who installs the package and runs `rivulet init`: its types and its own test.
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
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
  await install(folder);
}, 120_000);
afterAll(() => project.remove());

/** Installs the package as npm does. The tools are those of this tree, so that nothing is fetched. */
async function install(folder: string): Promise<void> {
  const path = join(folder, "package.json");
  const text = readFileSync(path, "utf8");
  const { devDependencies, ...own } = JSON.parse(text);
  writeFileSync(path, JSON.stringify(own));
  await succeed(run({ cwd: folder }, "npm", "install", "--offline"));
  writeFileSync(path, text);
  for (const name of Object.keys(devDependencies)) {
    const link = join(folder, "node_modules", name);
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync(join(ROOT, "node_modules", name), link);
  }
}

test("[TPL-5] init in a clone packs it for the project, whose install needs no release", async () => {
  const place = join(project.folder, "of-a-clone");
  await succeed(run({ cwd: project.folder }, "node", join(ROOT, "dist/rivulet.js"), "init", place));
  const { version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
  const { dependencies } = JSON.parse(readFileSync(join(place, "package.json"), "utf8"));
  expect(dependencies).toEqual({ rivulet: `file:rivulet-${version}.tgz` });
  await install(place);
  expect(existsSync(join(place, "node_modules/rivulet/dist/worker.js"))).toBe(true);
});

const tool = (path: string) => join(folder, "node_modules", path);

test("[TPL-2] the template's project passes its typecheck", async () => {
  await inFolder("node", tool("typescript/bin/tsc"));
});

/** The uses of a binding that compile, and those that must not. */
const OVER_BINDING = `
import { Rivulet, type RivuletService } from "rivulet";
import { overBinding } from "rivulet/worker";

export async function use({ RIVULET }: Cloudflare.Env): Promise<void> {
  const service: RivuletService = RIVULET;
  const { principal } = await new Rivulet(overBinding(RIVULET)).admin.whoami();
  const [outcome] = await RIVULET.produce("orders", [{ key: principal, value: { total: 12 } }]);
  const offset: number = outcome === undefined || "error" in outcome ? -1 : outcome.offset;
  const [topic] = await RIVULET.admin.listTopics();
  const name: string | undefined = topic?.name;
  console.log(service, offset, name);
  // @ts-expect-error The broker has no such method.
  await RIVULET.nonsense(1);
  // @ts-expect-error A topic is a name.
  await RIVULET.produce(1, []);
  // @ts-expect-error An outcome is no text.
  const text: string = outcome;
}
`;

test("[PKG-10] `wrangler types` finds the type of the binding to the broker", async () => {
  const place = join(folder, "types");
  mkdirSync(place);
  const generated = join(place, "worker-configuration.d.ts");
  const configs = ["--config", "wrangler.toml", "--config", "broker/wrangler.toml"];
  await inFolder("node", tool("wrangler/bin/wrangler.js"), "types", generated, ...configs);
  writeFileSync(join(place, "program.ts"), OVER_BINDING);
  const options = {
    extends: "../tsconfig.json",
    compilerOptions: { types: [], skipLibCheck: false },
    include: ["."],
  };
  writeFileSync(join(place, "tsconfig.json"), JSON.stringify(options));
  await inFolder("node", tool("typescript/bin/tsc"), "-p", "types");
});

test("[TPL-2] [TPL-4] the template's project passes its own tests, beside the broker of the package", async () => {
  const { all } = await inFolder("node", tool("vitest/vitest.mjs"), "run");
  expect(all).toMatch(/Tests\s+6 passed/);
});
