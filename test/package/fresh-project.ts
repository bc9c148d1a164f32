// A project outside this tree, with the package from `npm pack`.
import type { ChildProcess } from "node:child_process";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Output, ROOT, type RunOptions, run, start, succeed } from "./run.ts";

const SOURCES = fileURLToPath(new URL("project", import.meta.url));

export class FreshProject {
  readonly folder: string;
  readonly tarball: string;
  /** The output of the install, scripts included. */
  readonly installed: string;

  private constructor(folder: string, tarball: string, installed: string) {
    this.folder = folder;
    this.tarball = tarball;
    this.installed = installed;
  }

  /** Packs, and installs. Nothing is fetched: the package must not need it. */
  static async create(): Promise<FreshProject> {
    const parent = mkdtempSync(join(tmpdir(), "rivulet-package-"));
    await succeed(run({ cwd: ROOT }, "npm", "pack", "--pack-destination", parent));
    const [name = ""] = readdirSync(parent);
    const tarball = join(parent, name);
    const folder = join(parent, "project");
    cpSync(SOURCES, folder, { recursive: true });
    writeFileSync(join(folder, "package.json"), '{ "private": true, "type": "module" }\n');
    const args = ["install", "--offline", "--foreground-scripts", tarball];
    const { all } = await succeed(run({ cwd: folder }, "npm", ...args));
    return new FreshProject(folder, tarball, all);
  }

  /** Runs a command in the project, to its end, and returns its standard output. @throws if it fails */
  async run(command: string, ...args: readonly string[]): Promise<string> {
    return (await succeed(this.attempt({}, command, ...args))).stdout.trim();
  }

  /** Runs a command in the project, to its end. */
  attempt(
    options: Omit<RunOptions, "cwd">,
    command: string,
    ...args: readonly string[]
  ): Promise<Output> {
    return run({ cwd: this.folder, ...options }, command, ...args);
  }

  start(
    options: Omit<RunOptions, "cwd">,
    command: string,
    ...args: readonly string[]
  ): ChildProcess {
    return start({ cwd: this.folder, ...options }, command, ...args);
  }

  /** Copies a package of this tree beside the installed one, for the compiler. */
  copy(name: string): void {
    const copy = this.#place(name);
    cpSync(join(ROOT, "node_modules", name), copy, { recursive: true });
  }

  /** Links a package of this tree beside the installed one. What it imports comes from this tree too. */
  link(name: string): void {
    symlinkSync(join(ROOT, "node_modules", name), this.#place(name), "junction");
  }

  unlink(name: string): void {
    rmSync(this.#place(name));
  }

  #place(name: string): string {
    const place = join(this.folder, "node_modules", name);
    mkdirSync(dirname(place), { recursive: true });
    return place;
  }

  remove(): void {
    rmSync(dirname(this.folder), { recursive: true, force: true });
  }
}
