// The package as somebody has it who installs what `npm pack` makes: in Node, in a page, in a Worker, on the command
// line, and for the compiler.
import { once } from "node:events";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { build } from "esbuild";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launchChromium } from "../browser/chromium.ts";
import { BrokerProcess } from "../e2e/broker.ts";
import { until } from "../support/until.ts";
import { FreshProject, ROOT } from "./fresh-project.ts";

const MEGABYTE = 1_000_000;

let broker: BrokerProcess;
let project: FreshProject;
beforeAll(async () => {
  [broker, project] = await Promise.all([BrokerProcess.start(), FreshProject.create()]);
});
afterAll(async () => {
  project.remove();
  await broker.stop();
});

const installedFile = (...path: readonly string[]) =>
  join(project.folder, "node_modules/rivulet", ...path);

/** The result of `exchange.ts` for a topic. */
const exchanged = (topic: string) => [`hello from ${topic}`, "compressed"];

test("[PKG-4] the install adds one package, which takes less than 1 MB, and runs nothing", () => {
  const modules = join(project.folder, "node_modules");
  expect(readdirSync(modules).filter((name) => !name.startsWith("."))).toEqual(["rivulet"]);
  const files = readdirSync(modules, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  const bytes = files.reduce((sum, path) => sum + statSync(path).size, 0);
  expect(bytes).toBeLessThan(MEGABYTE);
  expect(project.installed).not.toMatch(/^> /m);
});

test("[PKG-4] the package contains the SDK, the command line, their types and licenses, and nothing else", () => {
  const files = readdirSync(installedFile(), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(installedFile().length + 1))
    .filter((path) => !/^dist\/(?:types\/.*\.d\.ts|client-[\w-]+\.js)$/.test(path));
  expect(files.filter((path) => path !== "CHANGELOG.md").sort()).toEqual([
    "LICENSE",
    "README.md",
    "dist/client.js",
    "dist/kafkajs.js",
    "dist/licenses.txt",
    "dist/rivulet.js",
    "dist/worker-binding.js",
    "package.json",
  ]);
  const licenses = readFileSync(installedFile("dist/licenses.txt"), "utf8");
  const names = licenses.split("\n---\n\n").map((each) => each.slice(0, each.indexOf("\n")));
  expect(names).toEqual(["commander", "fflate", "fzstd"]);
});

test("[PKG-6] a program in Node produces and consumes", async () => {
  const printed = await project.run("node", "node.ts", broker.url);
  expect(printed).toBe(JSON.stringify(exchanged("node")));
});

test("[PKG-6] a page's bundle produces and consumes, and needs nothing of Node", async () => {
  const { metafile } = await build({
    absWorkingDir: project.folder,
    entryPoints: ["page.ts"],
    outdir: "pages",
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "browser",
    metafile: true,
    logLevel: "silent",
  });
  const packages = Object.keys(metafile.inputs).filter((path) => path.includes("node_modules/"));
  expect(packages.every((path) => path.startsWith("node_modules/rivulet/dist/client"))).toBe(true);
  const printed = await printedInPage(join(project.folder, "pages"));
  expect(printed).toBe(JSON.stringify(exchanged("page")));
});

const PAGE = '<!doctype html><script type="module" src="page.js"></script>';

/** Opens a page with the script page.js in Chromium, and returns the first line that it prints. */
async function printedInPage(folder: string): Promise<string> {
  const server = createServer(({ url = "" }, response) => {
    const { pathname } = new URL(url, "http://page");
    const isScript = pathname.endsWith(".js");
    response.setHeader("content-type", isScript ? "text/javascript" : "text/html");
    response.end(isScript ? readFileSync(join(folder, pathname)) : PAGE);
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address() as AddressInfo;
  const browser = await launchChromium();
  try {
    const page = await browser.newPage();
    const printed = new Promise<string>((resolve, reject) => {
      page.once("console", (message) => resolve(message.text()));
      page.once("pageerror", reject);
    });
    await page.goto(`http://127.0.0.1:${port}/?${broker.url}`);
    return await printed;
  } finally {
    await browser.close();
    server.close();
  }
}

test("[PKG-6] a Worker, as wrangler bundles it, produces and consumes", async () => {
  const wrangler = project.start(
    "node",
    join(ROOT, "node_modules/wrangler/bin/wrangler.js"),
    ...["dev", "worker.ts", "--name", "somebodys", "--compatibility-date", compatibilityDate()],
    ...[
      "--ip",
      "127.0.0.1",
      "--port",
      "0",
      "--inspector-port",
      "0",
      "--var",
      `BROKER:${broker.url}`,
    ],
  );
  let output = "";
  for (const stream of [wrangler.stdout, wrangler.stderr])
    stream?.on("data", (data: Buffer) => {
      output += data;
    });
  const exited = new Promise((resolve) => wrangler.once("close", resolve));
  try {
    const isReady = () => {
      if (wrangler.exitCode !== null) throw new Error(`wrangler ended: ${output}`);
      return /Ready on (http:\/\/\S+)/.exec(output)?.[1];
    };
    const url = await until("it is ready", isReady, 90_000);
    const response = await fetch(url);
    expect(await response.text()).toBe(JSON.stringify(exchanged("worker")));
  } finally {
    wrangler.kill("SIGTERM");
    await exited;
  }
});

function compatibilityDate(): string {
  const config = readFileSync(join(ROOT, "wrangler.toml"), "utf8");
  return /^compatibility_date = "(.+)"/m.exec(config)?.[1] ?? "";
}

test("[PKG-6] the command line works by its name", async () => {
  expect(await project.run("npx", "--offline", "rivulet", "--help")).toMatch(/^Usage: rivulet /);
  const rivulet = (...args: readonly string[]) =>
    project.run("npx", "--offline", "rivulet", "--url", broker.url, ...args);
  await rivulet("topics", "create", "by-command");
  expect(await rivulet("--json", "topics", "list")).toContain('"by-command"');
  const { version } = JSON.parse(readFileSync(installedFile("package.json"), "utf8"));
  expect(await rivulet("--version")).toBe(version);
});

test("[PKG-6] the compiled program uses everything that is exported", () => {
  const names = (text: string) =>
    [...text.matchAll(/(?:import|export)(?: type)? \{([^}]*)\}/g)]
      .flatMap(([, list = ""]) => list.split(","))
      .map((name) => name.trim().replace(/^type /, ""))
      .filter((name) => name !== "")
      .sort();
  const exported = names(readFileSync(installedFile("dist/types/sdk/index.d.ts"), "utf8"));
  expect(exported.length).toBeGreaterThan(40);
  expect(names(readFileSync(join(project.folder, "program.ts"), "utf8"))).toEqual(exported);
});

test.each([
  { whose: "a browser's", types: "", options: ["--lib", "es2022,dom"], files: ["page.ts"] },
  { whose: "a Node program's", types: "node", options: ["--lib", "es2024"], files: ["kafkajs.ts"] },
  {
    whose: "a Worker's",
    types: "@cloudflare/workers-types",
    options: ["--lib", "es2024"],
    files: ["worker.ts"],
  },
])("[PKG-6] $whose compiler accepts it at its strictest", async ({ types, options, files }) => {
  if (types === "node") for (const name of ["@types/node", "undici-types"]) project.link(name);
  if (types.startsWith("@")) project.link(types);
  for (const resolution of [
    ["--module", "esnext", "--moduleResolution", "bundler"],
    ["--module", "nodenext", "--moduleResolution", "nodenext"],
  ]) {
    const output = await project.run(
      "node",
      join(ROOT, "node_modules/typescript/bin/tsc"),
      ...["--ignoreConfig", "--noEmit", "--strict", "--exactOptionalPropertyTypes"],
      ...["--noUncheckedIndexedAccess", "--skipLibCheck", "false", "--target", "es2022"],
      ...["--allowImportingTsExtensions", ...(types === "" ? [] : ["--types", types])],
      ...[...resolution, ...options, "program.ts", ...files],
    );
    expect(output).toBe("");
  }
});
