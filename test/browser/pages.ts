// The browser example's pages, as a person serves them.
import { type ChildProcess, spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import type { Page } from "playwright-core";

const SERVE = fileURLToPath(new URL("../../examples/browser/serve.ts", import.meta.url));

export class Pages {
  readonly url: string;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, url: string) {
    this.#child = child;
    this.url = url;
  }

  static start(): Promise<Pages> {
    const child = spawn(process.execPath, [SERVE], {
      env: { ...process.env, PAGES_PORT: "0" },
      stdio: ["ignore", "pipe", "inherit"],
    });
    return new Promise((resolve, reject) => {
      let text = "";
      child.stdout.on("data", (data: Buffer) => {
        text += data;
        const url = /http:\/\/[\d.:]+/.exec(text)?.[0];
        if (url !== undefined) resolve(new Pages(child, url));
      });
      child.once("exit", (code) => reject(new Error(`the pages ended with ${code}: ${text}`)));
    });
  }

  stop(): void {
    this.#child.kill();
  }
}

/** Runs a module of in-page/ in an empty page that can import the SDK. */
export async function runInPage(page: Page, pages: Pages, name: string): Promise<void> {
  await page.goto(`${pages.url}/empty`);
  const content = await readFile(new URL(`./in-page/${name}`, import.meta.url), "utf8");
  await page.addScriptTag({ type: "module", content });
  await page.waitForFunction((global) => global in globalThis, name.replace(".js", ""));
}
