// rivulet init: a new project out of a template of the package.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { Option } from "commander";
import type { Command } from "../command.ts";
import { type GlobalOptions, print, UsageError } from "../context.ts";

/** The version in package.json. The build puts it here. */
declare const RIVULET_VERSION: string;

/** Beside the bundle's folder, or above the sources. */
const PLACES = ["../templates", "../../../templates"];
const TEMPLATES = ["worker"] as const;
type Template = (typeof TEMPLATES)[number];

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
      "the version of this package that the project depends on, or the path of a packed one (default: this release)",
    )
    .seeAlso("start")
    .examples("rivulet init my-worker", "rivulet init my-worker --package ./rivulet-0.3.0.tgz")
    .action((path: string, options: Options, command: Command) => {
      const folder = resolve(path);
      const name = basename(folder);
      const files = copyTemplate(folder, name, options);
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
          "Its README.md goes on from there.",
        ].join("\n"),
      );
    });
}

/** Copies a template, and returns the paths of the new files. @throws UsageError before anything is written */
function copyTemplate(folder: string, name: string, options: Options): string[] {
  if (!WORKER_NAME.test(name) || name === BROKER_NAME)
    throw new UsageError(
      `the folder's name is ${JSON.stringify(name)}; the Worker gets this name, so it must be 1 to 63 lower-case letters, digits and hyphens, and not ${BROKER_NAME}`,
    );
  if (existsSync(folder) && readdirSync(folder).length > 0)
    throw new UsageError(`${folder} is not empty`);
  const source = templateFolder(options.template);
  const paths = readdirSync(source, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(source, join(entry.parentPath, entry.name)))
    .filter((path) => !/(^|[\\/])(node_modules|\.wrangler)[\\/]/.test(path));
  return paths
    .map((path) => {
      const target = join(dirname(path), RENAMED[basename(path)] ?? basename(path));
      const text = readFileSync(join(source, path), "utf8").replaceAll(PLACEHOLDER, name);
      mkdirSync(join(folder, dirname(path)), { recursive: true });
      writeFileSync(
        join(folder, target),
        path === "package.json" ? dependingOn(text, options.package) : text,
      );
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

/** Returns package.json with this dependency: a version, or a file of this machine. */
function dependingOn(text: string, spec = `^${RIVULET_VERSION}`): string {
  const json = JSON.parse(text) as { dependencies: Record<string, string> };
  json.dependencies.rivulet = existsSync(spec) ? `file:${resolve(spec)}` : spec;
  return `${JSON.stringify(json, null, 2)}\n`;
}
