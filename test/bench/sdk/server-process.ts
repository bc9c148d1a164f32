// A server as a process of its own, with a folder that is removed with it.
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface ServerProcess {
  stop(): Promise<void>;
}

/** Its own version string, or null if it is not on PATH. */
export function versionOf(command: string, option = "--version"): string | null {
  const { error, stdout } = spawnSync(command, [option], { encoding: "utf8" });
  if (error !== undefined) return null;
  return /\d+\.\d+\.\d+/.exec(stdout)?.[0] ?? "of an unknown version";
}

/** `configure` writes the needed files into the folder, and returns the arguments. */
export async function startProcess(
  command: string,
  configure: (folder: string) => readonly string[],
  readyText: string,
): Promise<ServerProcess> {
  const folder = mkdtempSync(join(tmpdir(), "rivulet-bench-"));
  const child = spawn(command, configure(folder), { stdio: ["ignore", "pipe", "pipe"] });
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  let said = "";
  await new Promise<void>((resolve, reject) => {
    const onData = (data: Buffer) => {
      if (said.includes(readyText)) return;
      said += data.toString();
      if (said.includes(readyText)) resolve();
    };
    child.stdout.on("data", onData);
    child.stderr.on("data", onData);
    void exited.then(() => reject(new Error(`${command} ended: ${said}`)));
  });
  return {
    stop: async () => {
      child.kill("SIGKILL");
      await exited;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
