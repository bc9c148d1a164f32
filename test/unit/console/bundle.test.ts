// What the console is built to.
import { gzipSync } from "node:zlib";
import { beforeAll, describe, expect, test } from "vitest";
import { bundleConsole, type ConsoleFile } from "../../../src/self-host/console-bundle.ts";

const MAX_BYTES = 40_000;
const MAX_SDK_BYTES = 25_000;

describe("the console's files", () => {
  let files: readonly ConsoleFile[];
  beforeAll(async () => {
    files = await bundleConsole();
  });

  const fileNamed = (name: string) => {
    const file = files.find((each) => each.name === name);
    if (file === undefined) throw new Error(`there is no ${name}`);
    return file;
  };
  /** Returns what a page loads by itself: what it names, and what these scripts import at once. */
  const loadedBy = (page: string): ConsoleFile[] => {
    const named = [...fileNamed(page).text.matchAll(/\/console\/assets\/([^"]+\.(?:js|css))"/g)];
    const loaded = new Set([fileNamed(page), ...named.map(([, name = ""]) => fileNamed(name))]);
    for (const { type, text } of loaded)
      if (type.startsWith("text/javascript"))
        for (const [, name = ""] of text.matchAll(/(?:from|import)\s*"\.\/([^"]+)"/g))
          loaded.add(fileNamed(name));
    return [...loaded];
  };
  const weightOf = (loaded: readonly ConsoleFile[]) =>
    loaded.reduce((sum, { text }) => sum + gzipSync(text, { level: 9 }).length, 0);

  test("[CON-8] page, script and style are small", () => {
    const loaded = loadedBy("");
    expect(loaded).toHaveLength(3);
    expect(weightOf(loaded)).toBeLessThanOrEqual(MAX_BYTES);
  });

  test("[LRN-1] the lesson's page, scripts and styles are small, and so is the SDK that comes with the topic", () => {
    const loaded = loadedBy("learn");
    expect(loaded.map(({ name }) => name)).toContain(loadedBy("")[1]?.name);
    expect(weightOf(loaded)).toBeLessThanOrEqual(MAX_BYTES);
    const sdk = files.filter(({ name }) => name.startsWith("learn-members-"));
    expect(sdk).toHaveLength(1);
    expect(loaded).not.toContain(sdk[0]);
    expect(weightOf(sdk)).toBeLessThanOrEqual(MAX_SDK_BYTES);
  });

  test.each([
    ["", 4],
    ["learn", 5],
  ])(
    "[CON-1] [CON-8] [LRN-1] the page %j names nothing but what is served with it",
    (path, count) => {
      const page = fileNamed(path).text;
      const named = [...page.matchAll(/(?:src|href)="([^"]*)"/g)].map(([, name]) => name ?? "");
      const served = files.map(({ name }) => `/console/assets/${name}`);
      for (const name of named)
        expect([...served, "data:"].some((each) => name.startsWith(each))).toBe(true);
      expect(named).toHaveLength(count);
      expect(page).not.toMatch(/<style|style=|<script(?! type="module" src=)|\son\w+=/);
    },
  );

  test("[CON-1] names change with what is in the files, and with nothing else", async () => {
    const again = await bundleConsole();
    expect(again.map(({ name }) => name)).toEqual(files.map(({ name }) => name));
    for (const { name, type, hash } of files)
      if (!type.startsWith("text/html")) expect(name).toContain(hash);
  });

  test("[CON-8] [LRN-1] the licenses of all packages in them are handed on", () => {
    const licenses = files.find(({ name }) => name.startsWith("licenses"))?.text ?? "";
    for (const name of ["preact", "@preact/signals", "@preact/signals-core", "fflate", "fzstd"])
      expect(licenses).toContain(`${name}\n\n`);
  });

  test("[CON-2] the scripts make no HTML of text", () => {
    const scripts = files.filter(({ name }) => name.endsWith(".js"));
    expect(scripts.length).toBeGreaterThan(2);
    const sources = scripts.map(({ text }) => text).join();
    expect(sources).not.toMatch(
      /insertAdjacentHTML|outerHTML|document\.write|\beval\(|new Function/,
    );
  });
});
