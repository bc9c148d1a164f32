// Programs from npm that only these tests need: other versions of Node, other runtimes, linters of packages. Each is
// installed once, into a folder below node_modules/.cache.
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { ROOT, run, succeed } from "./run.ts";

const CACHE = join(ROOT, "node_modules/.cache/package-tests");

/** Returns the folder of the package, which is installed if it is not there. @throws if npm cannot install it */
export async function npmTool(name: string, version: string): Promise<string> {
  const folder = join(CACHE, `${name.replace("/", "+")}@${version}`);
  if (!existsSync(folder)) {
    const temporary = `${folder}.${process.pid}`;
    mkdirSync(temporary, { recursive: true });
    // Deno and Bun put their binaries in place by scripts.
    const project = { private: true, allowScripts: { [name]: true } };
    writeFileSync(join(temporary, "package.json"), JSON.stringify(project));
    const args = ["install", "--no-audit", "--no-fund", "--no-package-lock", `${name}@${version}`];
    try {
      await succeed(run({ cwd: temporary }, "npm", ...args));
      renameSync(temporary, folder);
    } finally {
      rmSync(temporary, { recursive: true, force: true });
    }
  }
  return join(folder, "node_modules", name);
}

/** Returns the path of a command of the package. */
export async function npmCommand(name: string, version: string, command = name): Promise<string> {
  const folder = await npmTool(name, version);
  const { bin } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  return join(folder, typeof bin === "string" ? bin : bin[command]);
}

/** Returns the folder with the binary of the newest Node of a major version. */
export async function nodeFolder(major: number): Promise<string> {
  const { platform, arch } = process;
  const system = platform === "win32" ? "win" : platform;
  const name = `${platform === "darwin" && arch === "arm64" ? "node-bin" : "node"}-${system}-${arch}`;
  return dirname(await npmCommand(name, String(major), "node"));
}

/** Returns the command of another runtime. Null, with a line that says why, if npm does not have it here or it does not start. */
export async function otherRuntime(name: string, version: string): Promise<string | null> {
  try {
    const command = await npmCommand(name, version);
    await succeed(run({ cwd: ROOT }, command, "--version"));
    return command;
  } catch (error) {
    console.warn(`${name} ${version} does not run here, so its test is skipped: ${error}`);
    return null;
  }
}
