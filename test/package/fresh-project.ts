// Somebody's project, outside this tree, with the package in it as `npm pack` makes it.
import { type ChildProcess, spawn } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const SOURCES = fileURLToPath(new URL("project", import.meta.url));

/** As in a shell: without this tree's commands on the PATH, and without what npm tells its scripts. */
const ENV: NodeJS.ProcessEnv = {
  ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name))),
  PATH: [
    dirname(process.execPath),
    ...(process.env.PATH ?? "").split(delimiter).filter((folder) => !folder.startsWith(ROOT)),
  ].join(delimiter),
  NO_COLOR: "1",
  CLOUDFLARE_CF_FETCH_ENABLED: "false", // Offline, wrangler would otherwise wait for its requests to Cloudflare.
};

export interface Output {
  readonly code: number | null;
  readonly stdout: string;
  /** Standard output and standard error, in the order in which they came. */
  readonly all: string;
}

export class FreshProject {
  readonly folder: string;
  /** The output of the install, scripts included. */
  readonly installed: string;

  private constructor(folder: string, installed: string) {
    this.folder = folder;
    this.installed = installed;
  }

  /** Packs, and installs. Nothing is fetched: the package must not need it. */
  static async create(): Promise<FreshProject> {
    const parent = mkdtempSync(join(tmpdir(), "rivulet-package-"));
    await succeed(run(ROOT, "npm", "pack", "--pack-destination", parent));
    const [tarball = ""] = readdirSync(parent);
    const folder = join(parent, "project");
    cpSync(SOURCES, folder, { recursive: true });
    writeFileSync(join(folder, "package.json"), '{ "private": true, "type": "module" }\n');
    const args = ["install", "--offline", "--foreground-scripts", join(parent, tarball)];
    const { all } = await succeed(run(folder, "npm", ...args));
    return new FreshProject(folder, all);
  }

  /** Runs a command in the project, to its end, and returns its standard output. @throws if it fails */
  async run(command: string, ...args: readonly string[]): Promise<string> {
    return (await succeed(run(this.folder, command, ...args))).stdout.trim();
  }

  start(command: string, ...args: readonly string[]): ChildProcess {
    return start(this.folder, command, args);
  }

  /** Puts a package of this tree's beside the installed one, for the compiler. */
  link(name: string): void {
    const link = join(this.folder, "node_modules", name);
    mkdirSync(dirname(link), { recursive: true });
    cpSync(join(ROOT, "node_modules", name), link, { recursive: true });
  }

  remove(): void {
    rmSync(dirname(this.folder), { recursive: true, force: true });
  }
}

function start(cwd: string, command: string, args: readonly string[]): ChildProcess {
  return spawn(command, args, { cwd, env: ENV, stdio: ["ignore", "pipe", "pipe"] });
}

function run(cwd: string, command: string, ...args: readonly string[]): Promise<Output> {
  const child = start(cwd, command, args);
  let stdout = "";
  let all = "";
  child.stdout?.on("data", (data: Buffer) => {
    stdout += data;
    all += data;
  });
  child.stderr?.on("data", (data: Buffer) => {
    all += data;
  });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve({ code, stdout, all }));
  });
}

async function succeed(running: Promise<Output>): Promise<Output> {
  const output = await running;
  if (output.code !== 0) throw new Error(`exit code ${output.code}:\n${output.all}`);
  return output;
}
