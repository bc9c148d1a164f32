// A child process that reports lines of JSON. One that fails by itself ends the run, with its output.
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

export class Reporter<Line> {
  readonly lines: Line[] = [];
  readonly exited: Promise<number | null>;
  onLine: (line: Line) => void = () => {};
  readonly #child: ChildProcess;

  constructor(file: string, args: readonly string[]) {
    const path = fileURLToPath(new URL(file, import.meta.url));
    this.#child = spawn(process.execPath, [path, ...args], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.exited = new Promise((resolve) => this.#child.once("close", (code) => resolve(code)));
    let said = "";
    this.#child.stderr?.on("data", (text) => {
      said += text;
    });
    this.#child.once("close", (code) => {
      if (code !== 0 && code !== null)
        throw new Error(
          `${file} ${args.join(" ")} ended by itself with exit code ${code}: ${said}`,
        );
    });
    if (this.#child.stdout === null) return;
    createInterface(this.#child.stdout).on("line", (text) => {
      const line = JSON.parse(text) as Line;
      this.lines.push(line);
      this.onLine(line);
    });
  }

  signal(signal: NodeJS.Signals): Promise<number | null> {
    this.#child.kill(signal);
    return this.exited;
  }
}
