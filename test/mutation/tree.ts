// A copy of the project for mutants, one at a time.
import { execFileSync, spawn } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Stage } from "./areas.ts";
import { applied, type Mutant } from "./mutants.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** The files that belong to the project, as they are now. */
export function projectFiles(): string[] {
  const listed = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard"], {
    cwd: ROOT,
    encoding: "utf8",
  });
  return listed.split("\n").filter((path) => path !== "" && path !== "node_modules");
}

export const readProjectFile = (path: string) => readFileSync(join(ROOT, path), "utf8");

export class Tree {
  readonly #folder = mkdtempSync(join(tmpdir(), "rivulet-mutants-"));

  constructor() {
    for (const path of projectFiles()) {
      cpSync(join(ROOT, path), join(this.#folder, path), { recursive: true });
    }
    symlinkSync(join(ROOT, "node_modules"), join(this.#folder, "node_modules"));
  }

  /** Applies the mutant, does the work, and reverts the mutant. */
  async with<T>(mutant: Mutant, work: () => Promise<T>): Promise<T> {
    const path = join(this.#folder, mutant.file);
    const text = readFileSync(path, "utf8");
    writeFileSync(path, applied(text, mutant));
    try {
      return await work();
    } finally {
      writeFileSync(path, text);
    }
  }

  /** Runs the tests of a stage until one fails. Returns true if all pass within the time, in milliseconds. */
  passes({ project, tests }: Stage, limitMs: number): Promise<boolean> {
    const files = tests.map((name) => `test/${project}/${name}.test.ts`);
    const child = spawn(
      process.execPath,
      [
        join(this.#folder, "node_modules/vitest/vitest.mjs"),
        ...["run", "--config", "test/vitest.config.ts", "--root", "."],
        ...["--project", project, "--bail", "1", "--maxWorkers", "1", ...files],
      ],
      // A process group of its own: everything that a mutant started ends with it.
      { cwd: this.#folder, stdio: "ignore", detached: true },
    );
    const end = () => {
      try {
        process.kill(-(child.pid as number), "SIGKILL");
      } catch {
        // All have ended.
      }
    };
    process.once("exit", end);
    const timer = setTimeout(end, limitMs);
    return new Promise((resolve, reject) => {
      child.once("error", reject);
      child.once("exit", (code) => {
        clearTimeout(timer);
        process.off("exit", end);
        end();
        resolve(code === 0);
      });
    });
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
