// Runs commands as a shell elsewhere would: without this tree's commands on the PATH, and without npm's variables.
import { type ChildProcess, spawn } from "node:child_process";
import { delimiter, dirname } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../..", import.meta.url));

export interface RunOptions {
  readonly cwd: string;
  /** A folder whose commands come first, such as another Node. */
  readonly path?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Standard input. */
  readonly input?: string;
}

export interface Output {
  readonly code: number | null;
  readonly stdout: string;
  /** Standard output and standard error, in the order in which they came. */
  readonly all: string;
}

function environment({ path = dirname(process.execPath), env = {} }: RunOptions) {
  const others = (process.env.PATH ?? "").split(delimiter).filter((each) => !each.startsWith(ROOT));
  return {
    ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name))),
    PATH: [path, ...others].join(delimiter),
    NO_COLOR: "1",
    CLOUDFLARE_CF_FETCH_ENABLED: "false", // Offline, wrangler would otherwise wait for its requests to Cloudflare.
    ...env,
  };
}

export function start(
  options: RunOptions,
  command: string,
  ...args: readonly string[]
): ChildProcess {
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: environment(options),
    stdio: [options.input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
  });
  child.stdin?.end(options.input);
  return child;
}

/** Runs a command to its end. */
export function run(
  options: RunOptions,
  command: string,
  ...args: readonly string[]
): Promise<Output> {
  const child = start(options, command, ...args);
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

/** Returns the output of a command that must succeed. @throws if it fails */
export async function succeed(running: Promise<Output>): Promise<Output> {
  const output = await running;
  if (output.code !== 0) throw new Error(`exit code ${output.code}:\n${output.all}`);
  return output;
}
