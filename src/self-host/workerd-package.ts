// Finds workerd for `rivulet start`, and installs it. The package does not depend on workerd, because it takes 150 MB and
// only those who run a broker need it. It is an optional peer: a project that has workerd, or wrangler, shares its own.
// Otherwise `npm install` puts the version that this release was tested with into a folder of the user's cache. npm knows
// the registry, the proxy and the platform's package, and checks what it downloads. The binary of the platform's package
// runs as it is, so the install runs no script.
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { StartError } from "./settings.ts";
import { COMPATIBILITY_DATE } from "./workerd-config.ts";

/** The main module of the package workerd. */
interface WorkerdModule {
  /** The path of the platform's binary. */
  readonly default: string;
  /** The newest date that it takes as a Worker's compatibility date. */
  readonly compatibilityDate: string;
}

export interface Workerd {
  readonly path: string;
  /** True if it knows the Worker's compatibility date. */
  readonly isNewEnough: boolean;
}

/** Returns the workerd that a file at this place would import. @throws if there is none, or none for this platform */
export function workerdFrom(place: string | URL): Workerd {
  const module: WorkerdModule = createRequire(place)("workerd");
  const { default: path, compatibilityDate } = module;
  return { path, isNewEnough: compatibilityDate >= COMPATIBILITY_DATE };
}

/** Returns a workerd that is new enough: of the package's project, of the working folder or in the cache. Null if none is. */
export function findWorkerd(version: string, packagePlace: string): Workerd | null {
  const places = [packagePlace, join(process.cwd(), "package.json"), packageIn(cacheOf(version))];
  for (const place of places) {
    const found = workerdIn(place);
    if (found?.isNewEnough) return found;
  }
  return null;
}

function workerdIn(place: string): Workerd | null {
  try {
    return workerdFrom(place);
  } catch {
    return null; // It is not there, or it is another platform's.
  }
}

/** Returns the folder into which this version is installed. Nothing else is in it. */
export function cacheOf(version: string): string {
  const cache = process.env.XDG_CACHE_HOME || join(homedir(), ".cache");
  return join(cache, "rivulet", `workerd-${version}`);
}

function packageIn(folder: string): string {
  return join(folder, "package.json");
}

/** The folder of an install that is not over: the version's folder, and the process that installs. */
const UNFINISHED = /^workerd-\d+\.\d+\.\d+\.(\d+)$/;

/** Removes what installs have left that were interrupted. */
function removeUnfinished(cache: string): void {
  for (const name of existsSync(cache) ? readdirSync(cache) : []) {
    const [, pid] = UNFINISHED.exec(name) ?? [];
    if (pid !== undefined && !isRunning(Number(pid)))
      rmSync(join(cache, name), { recursive: true, force: true });
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM"; // It is another user's.
  }
}

/**
 * Installs workerd into the cache with npm, whose output goes to standard error. An install that is interrupted leaves
 * nothing that a later start would find, and the next install removes what it has left.
 * @throws StartError
 */
export async function installWorkerd(version: string): Promise<Workerd> {
  const folder = cacheOf(version);
  const temporary = `${folder}.${process.pid}`;
  try {
    removeUnfinished(dirname(folder));
    mkdirSync(temporary, { recursive: true });
    writeFileSync(packageIn(temporary), '{ "private": true }\n');
    await npmInstall(temporary, `workerd@${version}`);
    workerdFrom(packageIn(temporary)); // Throws if there is none for this platform.
    // Another start may have installed it in the meantime.
    if (workerdIn(packageIn(folder)) === null) {
      rmSync(folder, { recursive: true, force: true });
      renameSync(temporary, folder);
    }
    return workerdFrom(packageIn(folder));
  } catch (error) {
    const [reason] = (error instanceof Error ? error.message : String(error)).trim().split("\n");
    throw new StartError(`workerd ${version} could not be installed into ${folder}: ${reason}`);
  } finally {
    if (existsSync(temporary)) rmSync(temporary, { recursive: true, force: true });
  }
}

const INSTALL = ["install", "--prefix=.", "--global=false", "--include=optional"];
const QUIETLY = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"];

function npmInstall(cwd: string, name: string): Promise<void> {
  const npm = spawn("npm", [...INSTALL, ...QUIETLY, name], {
    cwd,
    stdio: ["ignore", 2, 2],
    shell: process.platform === "win32", // npm is a command file there.
  });
  return new Promise((resolve, reject) => {
    npm.once("error", (error) => reject(new Error(`npm could not be started: ${error.message}`)));
    npm.once("close", (code, signal) => {
      if (code === 0) resolve();
      else reject(new Error(`npm ended with ${signal ?? `exit code ${code}`}`));
    });
  });
}
