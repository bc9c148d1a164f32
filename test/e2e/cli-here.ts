// The command line in this process: a process of its own costs more than nearly every command. What only a process shows
// (its exit, signals, pipes, terminals, the bundle) is tested with processes.
import { once } from "node:events";
import { Readable, Writable } from "node:stream";
import { vi } from "vitest";
import { explain, type GlobalOptions, UsageError } from "../../src/cli/context.ts";
import { createProgram } from "../../src/cli/program.ts";

export interface Outcome {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Thrown when the command ends the process. */
class Exit extends Error {
  readonly code: number;

  constructor(code: number) {
    super(`exit ${code}`);
    this.code = code;
  }
}

class Printed extends Writable {
  readonly #pieces: Buffer[] = [];

  override _write(piece: Buffer, _: BufferEncoding, done: () => void): void {
    this.#pieces.push(piece);
    done();
  }

  async text(): Promise<string> {
    this.end();
    await once(this, "finish");
    return Buffer.concat(this.#pieces).toString();
  }
}

const SIGNALS = ["SIGINT", "SIGTERM"] as const;

/** Runs one command, as src/cli/main.ts does. One at a time. */
export async function runHere(
  args: readonly string[],
  input: string,
  env: Readonly<Record<string, string>>,
): Promise<Outcome> {
  const [out, err] = [new Printed(), new Printed()];
  const streams = { stdin: Readable.from([Buffer.from(input)]), stdout: out, stderr: err };
  const own = Object.keys(streams).map(
    (name) => [name, Object.getOwnPropertyDescriptor(process, name)] as const,
  );
  const listeners = SIGNALS.map((signal) => [signal, process.listeners(signal)] as const);
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
  for (const [name, value] of Object.entries(streams))
    Object.defineProperty(process, name, { value, configurable: true });
  const exit = vi.spyOn(process, "exit").mockImplementation((code) => {
    throw new Exit(Number(code ?? 0));
  });
  let code = 0;
  const program = createProgram();
  const { exitCode } = process;
  try {
    await program.parseAsync(args, { from: "user" });
    if (process.exitCode !== exitCode) code = Number(process.exitCode);
  } catch (error) {
    if (error instanceof Exit) code = error.code;
    else {
      err.write(`${explain(error, program.opts<GlobalOptions>())}\n`);
      code = error instanceof UsageError ? 2 : 1;
    }
  } finally {
    process.exitCode = exitCode;
    exit.mockRestore();
    vi.unstubAllEnvs();
    for (const [name, descriptor] of own)
      if (descriptor !== undefined) Object.defineProperty(process, name, descriptor);
    for (const [signal, known] of listeners)
      for (const each of process.listeners(signal))
        if (!known.includes(each)) process.removeListener(signal, each);
  }
  return { code, out: await out.text(), err: await err.text() };
}
