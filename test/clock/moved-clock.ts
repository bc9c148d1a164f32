// The wall clock of a broker that is started with `env`, which a test moves.
import { execFileSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export class MovedClock {
  readonly #folder = mkdtempSync(join(tmpdir(), "rivulet-clock-"));
  readonly #file: number;
  readonly env: Record<string, string>;

  constructor() {
    const library = join(this.#folder, "clock.so");
    const source = fileURLToPath(new URL("clock.c", import.meta.url));
    execFileSync("cc", ["-shared", "-fPIC", "-O2", "-o", library, source, "-ldl"]);
    const path = join(this.#folder, "offset");
    writeFileSync(path, Buffer.alloc(8));
    this.#file = openSync(path, "r+");
    this.env = { LD_PRELOAD: library, CLOCK_OFFSET_FILE: path };
  }

  /** Sets how far it is ahead of the real one from now on. */
  set(ms: number): void {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(BigInt(ms));
    writeSync(this.#file, bytes, 0, 8, 0);
  }

  close(): void {
    closeSync(this.#file);
    rmSync(this.#folder, { recursive: true });
  }
}
