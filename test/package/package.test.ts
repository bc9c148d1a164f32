// The package as installed from `npm pack`. It is used in Node, Deno and Bun, in a page, in a Worker, on the command line,
// as a broker, and by the compiler.
import { once } from "node:events";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { launchChromium } from "../browser/chromium.ts";
import { BrokerProcess } from "../e2e/broker.ts";
import { until } from "../support/until.ts";
import { FreshProject } from "./fresh-project.ts";
import { nodeFolder, npmCommand, otherRuntime } from "./npm-tool.ts";
import { ROOT } from "./run.ts";

const MEGABYTE = 1_000_000;
const KILOBYTE = 1_024;
/** The command's file in the project. */
const COMMAND = join("node_modules", "rivulet", "dist", "rivulet.js");

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

const read = (path: string) => readFileSync(installedFile(path), "utf8");

/** The result of `exchange.ts` for a topic. */
const exchanged = (topic: string) => [`hello from ${topic}`, "compressed"];

test("[PKG-4] the install adds one package of less than 8 MB, and runs nothing", () => {
  const modules = join(project.folder, "node_modules");
  expect(readdirSync(modules).filter((name) => !name.startsWith("."))).toEqual(["rivulet"]);
  const files = readdirSync(modules, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  const bytes = files.reduce((sum, path) => sum + statSync(path).size, 0);
  expect(bytes).toBeLessThan(8 * MEGABYTE);
  expect(statSync(project.tarball).size).toBeLessThan(2 * MEGABYTE);
  expect(project.installed).not.toMatch(/^> /m);
});

test("[PKG-4] the package contains the SDK, the command line, the broker, templates, types, maps and licenses, and nothing else", () => {
  const files = readdirSync(installedFile(), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(installedFile().length + 1))
    .filter((path) => !/^dist\/(?:types\/.*\.d\.ts|(?:client|rivulet)-[\w-]+\.js)$/.test(path))
    .filter((path) => !path.startsWith("templates/"));
  const isMap = (path: string) => path.endsWith(".js.map");
  expect(files.filter((path) => path !== "CHANGELOG.md" && !isMap(path)).sort()).toEqual([
    "LICENSE",
    "README.md",
    "dist/client.js",
    "dist/kafkajs.js",
    "dist/licenses.txt",
    "dist/rivulet.js",
    "dist/worker-binding.js",
    "dist/worker.d.ts",
    "dist/worker.js",
    "package.json",
  ]);
  // Programs import these.
  const imported = readdirSync(installedFile("dist"))
    .filter((name) => /^(?:client|kafkajs|worker-binding).*\.js$/.test(name))
    .map((name) => `dist/${name}.map`);
  expect(files.filter(isMap).sort()).toEqual(imported.sort());
  const licenses = readFileSync(installedFile("dist/licenses.txt"), "utf8");
  const names = licenses.split("\n---\n\n").map((each) => each.slice(0, each.indexOf("\n")));
  expect(names).toEqual([
    "@noble/hashes",
    "commander",
    "fflate",
    "fzstd",
    "hono",
    "jose",
    "re2js",
    "ws",
    "zod",
  ]);
});

test("[PKG-7] publint and arethetypeswrong find no fault in the tarball", async () => {
  const publint = await npmCommand("publint", "0.3.25");
  await project.run("node", publint, "--strict", project.tarball);
  const attw = await npmCommand("@arethetypeswrong/cli", "0.18.5", "attw");
  await project.run("node", attw, project.tarball, "--profile", "esm-only");
});

test("[PKG-8] a stack trace names the SDK's sources, which are in its maps", async () => {
  const trace = await project.run("node", "--enable-source-maps", "broken.ts", broker.url);
  expect(trace).toMatch(/\bsrc\/admin\/http\.ts:\d+/);
  const map = JSON.parse(readFileSync(installedFile("dist/client.js.map"), "utf8"));
  expect(map.sourcesContent).toHaveLength(map.sources.length);
  expect(map.sourcesContent.every((text: unknown) => typeof text === "string")).toBe(true);
});

test.each([22, 24])("[PKG-6] a program in Node %i produces and consumes", async (major) => {
  const path = await nodeFolder(major);
  const topic = `node-${major}`;
  const { code, stdout } = await project.attempt({ path }, "node", "node.ts", broker.url, topic);
  expect({ code, stdout }).toEqual({ code: 0, stdout: `${JSON.stringify(exchanged(topic))}\n` });
});

const deno = await otherRuntime("deno", "2.9.6");
const bun = await otherRuntime("bun", "1.4.5");

test.skipIf(deno === null)("[PKG-6] a program in Deno produces and consumes", async () => {
  const options = ["--node-modules-dir=manual", "--allow-net", "--allow-env"];
  const printed = await project.run(deno ?? "", "run", ...options, "node.ts", broker.url, "deno");
  expect(printed).toBe(JSON.stringify(exchanged("deno")));
});

test.skipIf(bun === null)("[PKG-6] a program in Bun produces and consumes", async () => {
  const printed = await project.run(bun ?? "", "node.ts", broker.url, "bun");
  expect(printed).toBe(JSON.stringify(exchanged("bun")));
});

test("[PKG-6] a page that esbuild bundles produces and consumes, and needs nothing of Node", async () => {
  const { metafile } = await build({
    absWorkingDir: project.folder,
    entryPoints: ["page.ts"],
    outdir: "esbuild",
    bundle: true,
    minify: true,
    splitting: true,
    format: "esm",
    platform: "browser",
    metafile: true,
    logLevel: "silent",
  });
  const packages = Object.keys(metafile.inputs).filter((path) => path.includes("node_modules/"));
  expect(packages.every((path) => path.startsWith("node_modules/rivulet/dist/client"))).toBe(true);
  const folder = join(project.folder, "esbuild");
  writeFileSync(join(folder, "index.html"), '<script type="module" src="/page.js"></script>');
  expect(firstBytes(folder, "page.js")).toBeLessThan(25 * KILOBYTE);
  expect(await printedInPage(folder, "esbuild")).toBe(JSON.stringify(exchanged("esbuild")));
});

test("[PKG-6] a page that Vite bundles produces and consumes", async () => {
  const vitest = createRequire(createRequire(import.meta.url).resolve("vitest/package.json"));
  const vite = join(dirname(vitest.resolve("vite/package.json")), "bin/vite.js");
  await project.run("node", vite, "build", "--outDir", "vite", "--logLevel", "warn");
  const folder = join(project.folder, "vite");
  const page = readFileSync(join(folder, "index.html"), "utf8");
  const [, script = ""] = /src="\/(assets\/[^"]+\.js)"/.exec(page) ?? [];
  expect(firstBytes(folder, script)).toBeLessThan(25 * KILOBYTE);
  expect(await printedInPage(folder, "vite")).toBe(JSON.stringify(exchanged("vite")));
});

/** Returns the size of a script and of the scripts that it imports at once, gzipped. */
function firstBytes(folder: string, script: string, seen = new Set<string>()): number {
  if (seen.has(script)) return 0;
  seen.add(script);
  const text = readFileSync(join(folder, script), "utf8");
  const imported = [...text.matchAll(/\b(?:from|import) ?"(\.[^"]+)"/g)];
  const below = imported.map(([, name = ""]) =>
    firstBytes(folder, join(dirname(script), name), seen),
  );
  return below.reduce((sum, bytes) => sum + bytes, gzipSync(text, { level: 9 }).length);
}

/** Opens the folder's page in Chromium, and returns the first line that it prints. */
async function printedInPage(folder: string, topic: string): Promise<string> {
  const server = createServer(({ url = "" }, response) => {
    const { pathname } = new URL(url, "http://page");
    const isScript = pathname.endsWith(".js");
    response.setHeader("content-type", isScript ? "text/javascript" : "text/html");
    response.end(readFileSync(join(folder, isScript ? pathname : "index.html")));
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
    await page.goto(`http://127.0.0.1:${port}/${topic}?${broker.url}`);
    return await printed;
  } finally {
    await browser.close();
    server.close();
  }
}

test("[PKG-6] a Worker, as wrangler bundles it, produces and consumes", async () => {
  const wrangler = project.start(
    {},
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
  const { version } = JSON.parse(readFileSync(installedFile("package.json"), "utf8"));
  expect(await project.run("npx", "--offline", "rivulet", "--version")).toBe(version);
});

test.each([20, 22, 24])(
  "[PKG-6] the command line in Node %i creates a topic, produces and consumes",
  async (major) => {
    const path = await nodeFolder(major);
    const rivulet = async (input: string, ...args: readonly string[]) => {
      const command = [COMMAND, "--url", broker.url, ...args];
      const { code, all } = await project.attempt({ path, input }, "node", ...command);
      return { code, lines: all.trimEnd().split("\n") };
    };
    const topic = `cli-${major}`;
    const done = (...lines: readonly string[]) => ({ code: 0, lines });
    expect(await rivulet("", "topics", "create", topic)).toEqual(
      done(`Created topic ${topic} with 1 partition.`),
    );
    expect(await rivulet("one\ntwo\n", "produce", topic)).toEqual(
      done(`Produced 2 records to 1 partition of ${topic}.`),
    );
    expect(await rivulet("", "consume", topic, "--exit")).toEqual(done("one", "two"));
    const asGroup = ["consume", topic, "--group", topic, "--max", "2"];
    expect(await rivulet("", ...asGroup)).toEqual(done("one", "two"));
  },
);

describe("rivulet start", () => {
  const START = [COMMAND, "start", "--port", "0", "--kafka-port", "0"];

  test("[PKG-9] says how to get workerd if there is none, and a newer Node if this one is too old", async () => {
    const env = { XDG_CACHE_HOME: join(project.folder, "no-cache") };
    const without = await project.attempt({ env }, "node", ...START);
    expect(without.code).toBe(1);
    expect(without.all).toMatch(
      /^rivulet: workerd [\d.]+ or newer is not installed; run `npm install workerd@[\d.]+`, or let `rivulet start --yes` install it into \S+no-cache\S+\n$/,
    );
    const path = await nodeFolder(20);
    const old = await project.attempt({ path, env }, "node", ...START);
    expect(old.code).toBe(1);
    expect(old.all).toMatch(
      /^a broker needs Node 22\.16 or newer, this is 20\.[\d.]+, and workerd [\d.]+, which is not installed; `npx --package node@24 rivulet start --yes` brings both, .* into \S+no-cache\S+\n$/,
    );
    project.link("workerd");
    const onlyOld = await project.attempt({ path, env }, "node", COMMAND, "learn");
    project.unlink("workerd");
    expect(onlyOld.code).toBe(1);
    expect(onlyOld.all).toMatch(
      /^a broker needs Node 22\.16 or newer, this is 20\.[\d.]+; `npx --package node@24 rivulet learn` brings one\n$/,
    );
  });

  /** Starts a broker in the folder `name`, uses it and stops it with Ctrl-C. */
  async function expectBroker(name: string, major: number, cache: string, ...args: string[]) {
    const options = { path: await nodeFolder(major), env: { XDG_CACHE_HOME: cache } };
    const dataDir = join(project.folder, name);
    const child = project.start(options, "node", ...START, "--data-dir", dataDir, ...args);
    const exited = once(child, "close");
    let printed = "";
    child.stdout?.on("data", (data: Buffer) => {
      printed += data;
    });
    let errors = "";
    child.stderr?.on("data", (data: Buffer) => {
      errors += data;
    });
    const READY = /^Rivulet is ready on (\S+) \(Kafka on \S+, data in (.*)\)\n$/;
    const [, url = "", folder] = await until(
      "the broker is ready",
      () => {
        if (child.exitCode !== null) throw new Error(`it ended: ${printed}${errors}`);
        return READY.exec(printed);
      },
      90_000,
    );
    expect(folder).toBe(dataDir);
    const printedByClient = await project.run("node", "node.ts", url, name);
    expect(printedByClient).toBe(JSON.stringify(exchanged(name)));
    expect((await fetch(`${url}/console`)).status).toBe(200);
    child.kill("SIGINT");
    expect(await exited).toEqual([0, null]);
    return errors;
  }

  test("[PKG-9] learn starts a broker, too, and says where the lesson is", async () => {
    project.link("workerd");
    const dataDir = join(project.folder, "learn");
    const settings = ["--port", "0", "--kafka-port", "0", "--data-dir", dataDir];
    const child = project.start({}, "node", COMMAND, "learn", ...settings);
    const exited = once(child, "close");
    let printed = "";
    child.stdout?.on("data", (data: Buffer) => {
      printed += data;
    });
    const LINES = /^Rivulet is ready on (\S+) .*\nThe lesson is at \1\/console\/learn\n$/;
    const [, url = ""] = await until("it says where", () => LINES.exec(printed));
    expect((await fetch(`${url}/console/learn`)).status).toBe(200);
    child.kill("SIGTERM");
    expect(await exited).toEqual([0, null]);
    project.unlink("workerd");
  });

  test("[PKG-9] with --yes it installs workerd into the cache, and runs a broker until Ctrl-C", async () => {
    const cache = join(project.folder, "cache");
    await expectBroker("first", 24, cache, "--yes");
    expect(readdirSync(join(cache, "rivulet"))).toEqual([
      expect.stringMatching(/^workerd-[\d.]+$/),
    ]);
    expect(await expectBroker("second", 24, cache)).toBe("");
  });

  test.each([22, 24])("[PKG-9] in Node %i it runs the project's workerd", async (major) => {
    project.link("workerd");
    try {
      const noCache = join(project.folder, "no-cache");
      expect(await expectBroker(`project-${major}`, major, noCache)).toBe("");
    } finally {
      project.unlink("workerd");
    }
  });
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

test("[PKG-10] the types of the Worker have the names that its bundle exports", () => {
  const [, list = ""] = read("dist/worker.js").match(/.*\bexport ?\{([^}]*)\}/s) ?? [];
  const exported = list.split(",").map((name) => name.trim().replace(/^.* as /, ""));
  const types = read("dist/worker.d.ts");
  const declared = [...types.matchAll(/^export (?:declare class )?(\w+)/gm)].map(
    ([, name]) => name,
  );
  expect(declared.sort()).toEqual(exported.sort());
  expect(exported).toContain("Rivulet");
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
  if (types === "node") for (const name of ["@types/node", "undici-types"]) project.copy(name);
  if (types.startsWith("@")) project.copy(types);
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
