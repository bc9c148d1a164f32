// rivulet init: a new project out of a template of the package.
import { execFile, spawnSync } from "node:child_process";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { basename, delimiter, dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Option } from "commander";
import type { Command } from "../command.ts";
import { type GlobalOptions, print, UsageError } from "../context.ts";

/** The version in package.json. The build puts it here. */
declare const RIVULET_VERSION: string;

/** Beside the bundle's folder, or above the sources. */
const PLACES = ["../templates", "../../../templates"];
const TEMPLATES = ["worker"] as const;
type Template = (typeof TEMPLATES)[number];

/** The clone of which this bundle is the build. The package has no sources. */
const CLONE = fileURLToPath(new URL("..", import.meta.url));
const IS_CLONE = existsSync(join(CLONE, "src/self-host/build.ts"));

/** The Node that wrangler needs: see the template's package.json. */
const MIN_NODE = [22, 12] as const;

/** The name that templates have for the project. */
const PLACEHOLDER = "my-worker";
/** Files whose names npm would not pack as they are, or would take for its own. */
const RENAMED: Readonly<Record<string, string>> = {
  gitignore: ".gitignore",
  "dev.vars": ".dev.vars",
};
/** The names that Cloudflare takes for a Worker. */
const WORKER_NAME = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
/** The Worker's name in the template's configuration of the broker. */
const BROKER_NAME = "rivulet";

interface Options {
  readonly template: Template;
  readonly package?: string;
}

export function addInit(program: Command): void {
  program
    .command("init")
    .summary("make a project that produces and consumes")
    .description(
      "Makes a project in a new or empty folder: a Cloudflare Worker that produces over HTTP and consumes in a cron trigger and in a Durable Object, with a test that runs it beside a broker.",
    )
    .argument("<path>", "the folder, whose name becomes the Worker's")
    .addOption(
      new Option("--template <name>", "the kind of project").choices(TEMPLATES).default("worker"),
    )
    .option(
      "--package <spec>",
      "the version of this package that the project depends on, or the path of a packed one (default: this release; in a clone, the clone, which is packed)",
    )
    .seeAlso("start")
    .examples("rivulet init my-worker", "rivulet init my-worker --package ./rivulet-0.3.0.tgz")
    .action(async (path: string, options: Options, command: Command) => {
      const folder = resolve(path);
      const name = basename(folder);
      assertUsable(folder, name);
      assertPackage(options.package);
      const spec = options.package ?? (IS_CLONE ? await packClone(folder) : undefined);
      const files = copyTemplate(folder, name, options.template, spec);
      const shown = relative("", folder) || ".";
      print(command.optsWithGlobals<GlobalOptions>(), { path: folder, name, files }, () =>
        [
          `Made ${name} out of the template ${options.template}. Next:`,
          "",
          ...(shown === "." ? [] : [`  cd ${shown}`]),
          "  npm install",
          "  npm test",
          "  npm run dev",
          "",
          ...hintAtNode(),
          "Its README.md goes on from there.",
        ].join("\n"),
      );
    });
}

/** @throws UsageError if a project of this name cannot be made in this folder */
function assertUsable(folder: string, name: string): void {
  if (!WORKER_NAME.test(name) || name === BROKER_NAME)
    throw new UsageError(
      `the folder's name is ${JSON.stringify(name)}; the Worker gets this name, so it must be 1 to 63 lower-case letters, digits and hyphens, and not ${BROKER_NAME}`,
    );
  assertFolder(folder);
  if (existsSync(folder) && readdirSync(folder).length > 0)
    throw new UsageError(`${folder} is not empty`);
}

/** @throws UsageError if the path, or one above it, exists and is not a folder */
function assertFolder(path: string): void {
  if (dirname(path) !== path) assertFolder(dirname(path));
  if (lstatSync(path, { throwIfNoEntry: false }) === undefined) return;
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined) throw new UsageError(`${path} is a link to nothing`);
  if (!found.isDirectory()) throw new UsageError(`${path} is not a folder`);
}

/** A path as people write one, or the name of a packed package. Not a version, a range or an address. */
const PATH = /^(\.{1,2}|~|[a-z]:)?[\\/]|^\.{1,2}$|^[^:]*\.(tgz|tar\.gz)$/i;

/** @throws UsageError if it names no version and no file */
function assertPackage(spec: string | undefined): void {
  if (spec?.trim() === "")
    throw new UsageError("--package is empty, it must be a version or the path of a packed one");
  if (spec !== undefined && PATH.test(spec) && !existsSync(spec))
    throw new UsageError(`--package is ${spec}, and there is no such file`);
}

/** Copies a template, and returns the paths of the new files. */
function copyTemplate(folder: string, name: string, template: Template, spec?: string): string[] {
  const source = templateFolder(template);
  const paths = readdirSync(source, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(source, join(entry.parentPath, entry.name)))
    .filter((path) => !/(^|[\\/])(node_modules|\.wrangler)[\\/]/.test(path));
  return paths
    .map((path) => {
      const target = join(dirname(path), RENAMED[basename(path)] ?? basename(path));
      const text = readFileSync(join(source, path), "utf8").replaceAll(PLACEHOLDER, name);
      mkdirSync(join(folder, dirname(path)), { recursive: true });
      writeFileSync(join(folder, target), path === "package.json" ? dependingOn(text, spec) : text);
      return target;
    })
    .sort();
}

function templateFolder(template: Template): string {
  const folders = PLACES.map((place) => fileURLToPath(new URL(place, import.meta.url)));
  const found = folders.find((folder) => existsSync(folder));
  if (found === undefined) throw new Error(`there are no templates in ${folders.join(" or ")}`);
  return join(found, template);
}

/** Packs the clone into the project, because the registry may not have its release. Returns the file's name. */
async function packClone(folder: string): Promise<string> {
  const { name, version } = JSON.parse(readFileSync(join(CLONE, "package.json"), "utf8"));
  process.stderr.write(`Packing the clone ${CLONE} for the project …\n`);
  mkdirSync(folder, { recursive: true });
  try {
    await promisify(execFile)("npm", ["pack", "--pack-destination", folder], {
      cwd: CLONE,
      shell: process.platform === "win32", // npm is a command file there.
    });
  } catch (error) {
    const { stderr, message } = error as Error & { readonly stderr?: string };
    throw new Error(
      `the clone could not be packed; run \`npm pack\` there, and \`rivulet init\` with --package and its file: ${stderr || message}`,
    );
  }
  return `file:${name}-${version}.tgz`;
}

/** Returns what to say of Node if the one that the project gets is too old. */
function hintAtNode(): string[] {
  const version = nodeOfProject();
  const [major = 0, minor = 0] = version.split(".").map(Number);
  if (major > MIN_NODE[0] || (major === MIN_NODE[0] && minor >= MIN_NODE[1])) return [];
  return [
    `The project needs Node ${MIN_NODE.join(".")} or newer, and this machine has ${version}: write \`npx --package node@24 npm run dev\`,`,
    "and the same before `npm test`.",
    "",
  ];
}

/** Returns the version of the Node on the path. The ones in node_modules are those of npx, or of the clone. */
function nodeOfProject(): string {
  const { PATH = "" } = process.env;
  const folders = PATH.split(delimiter).filter((folder) => !folder.includes("node_modules"));
  const env = { ...process.env, PATH: folders.join(delimiter) };
  const { stdout } = spawnSync("node", ["--version"], { env, encoding: "utf8" });
  return stdout ? stdout.trim().replace(/^v/, "") : process.versions.node;
}

/** Returns package.json with this dependency: a version, or a file of this machine. */
function dependingOn(text: string, spec = `^${RIVULET_VERSION}`): string {
  const json = JSON.parse(text) as { dependencies: Record<string, string> };
  json.dependencies.rivulet = existsSync(spec) ? `file:${resolve(spec)}` : spec;
  return `${JSON.stringify(json, null, 2)}\n`;
}
