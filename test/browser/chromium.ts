// Chromium without a window. It looks nothing up and reports nothing, so it runs without the internet.
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { type Browser, chromium } from "playwright-core";

const NAMES = ["chromium", "chromium-browser", "google-chrome"];
const QUIET = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

function executable(): string {
  const candidates = (process.env.PATH ?? "")
    .split(delimiter)
    .flatMap((folder) => NAMES.map((name) => join(folder, name)));
  for (const path of [process.env.CHROMIUM ?? "", ...candidates]) {
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Not here.
    }
  }
  throw new Error(
    "there is no Chromium on the PATH: `apt-get install chromium`, or name one in CHROMIUM",
  );
}

export function launchChromium(): Promise<Browser> {
  return chromium.launch({ executablePath: executable(), args: QUIET });
}

/** A browser of its own that can be killed like a process. */
export async function launchKillable() {
  const server = await chromium.launchServer({ executablePath: executable(), args: QUIET });
  const browser = await chromium.connect(server.wsEndpoint());
  return { browser, kill: () => server.kill() };
}
