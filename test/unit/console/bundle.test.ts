// What the console is built to.
import { readdirSync } from "node:fs";
import { basename } from "node:path";
import { gzipSync } from "node:zlib";
import { beforeAll, describe, expect, test } from "vitest";
import {
  bundleConsole,
  type ConsoleBundle,
  type ConsoleFile,
} from "../../../src/self-host/console-bundle.ts";

const MAX_BYTES = 40_000;
const PAGES = readdirSync("src/console/pages").map((name) => `src/console/pages/${name}`);

describe("the console's files", () => {
  let bundle: ConsoleBundle;
  let files: readonly ConsoleFile[];
  beforeAll(async () => {
    bundle = await bundleConsole();
    ({ files } = bundle);
  });

  const sentAtFirst = () => ["", bundle.first, ...files.map(({ name }) => name).filter(isStyle)];
  const isStyle = (name: string) => name.endsWith(".css");
  const scripts = () => files.filter(({ name }) => name.endsWith(".js"));

  /** Returns the size in gzip of the files with these names. */
  function bytesOf(names: Iterable<string>): number {
    let bytes = 0;
    for (const name of new Set(names)) {
      const file = files.find((each) => each.name === name);
      if (file === undefined) throw new Error(`there is no file ${name}`);
      bytes += gzipSync(file.text, { level: 9 }).length;
    }
    return bytes;
  }

  /** Returns the files of a page, with all that can be opened on it, beside those that are sent at first. */
  function loadedBy(page: string): string[] {
    const { inputs, outputs } = bundle.metafile;
    const sources = new Set([page]);
    for (const source of sources)
      for (const { path } of inputs[source]?.imports ?? [])
        if (path !== "src/console/main.tsx") sources.add(path);
    return Object.entries(outputs)
      .filter(([, output]) => Object.keys(output.inputs).some((source) => sources.has(source)))
      .map(([path]) => basename(path));
  }

  test("[CON-8] page, first script and style are small", () => {
    expect(sentAtFirst()).toHaveLength(3);
    expect(bytesOf(sentAtFirst())).toBeLessThanOrEqual(MAX_BYTES);
  });

  test.each(PAGES)("[CON-8] %s is small with all that it loads", (page) => {
    expect(bytesOf([...sentAtFirst(), ...loadedBy(page)])).toBeLessThanOrEqual(MAX_BYTES);
  });

  test("[CON-8] what is loaded later belongs to some page, and to the first script nothing that is", () => {
    const loaded = new Set(PAGES.flatMap(loadedBy));
    for (const { name } of scripts()) expect([...loaded]).toContain(name);
    expect(loadedBy("src/console/pages/access.tsx").length).toBeGreaterThan(1);
    const { outputs } = bundle.metafile;
    const first = Object.entries(outputs).find(([path]) => basename(path) === bundle.first);
    expect(Object.keys(first?.[1].inputs ?? {})).toContain("src/console/main.tsx");
    expect(Object.keys(first?.[1].inputs ?? {})).not.toContain("src/console/pages/access.tsx");
  });

  test("[CON-1] each script that another imports is served", () => {
    const names = scripts().map(({ name }) => name);
    for (const { text } of scripts()) {
      const imported = [...text.matchAll(/"\.\/([^"]+\.js)"/g)].map(([, name]) => name);
      expect(names).toEqual(expect.arrayContaining(imported));
    }
    const first = files.find(({ name }) => name === bundle.first)?.text ?? "";
    expect(first).toMatch(/import\("\.\/access-\w+\.js"\)/);
  });

  test("[CON-1] [CON-8] the page names nothing but what is served with it", () => {
    const page = files.find(({ name }) => name === "")?.text ?? "";
    const named = [...page.matchAll(/(?:src|href)="([^"]*)"/g)].map(([, name]) => name ?? "");
    const served = files.map(({ name }) => `/console/assets/${name}`);
    for (const name of named)
      expect([...served, "data:"].some((each) => name.startsWith(each))).toBe(true);
    expect(named).toHaveLength(4);
    expect(page).not.toMatch(/<style|style=|<script(?! type="module" src=)|\son\w+=/);
  });

  test("[CON-1] names change with what is in the files, and with nothing else", async () => {
    const again = await bundleConsole();
    expect(again.files.map(({ name }) => name)).toEqual(files.map(({ name }) => name));
    for (const { name, hash } of files) if (name !== "") expect(name).toContain(hash);
  });

  test("[CON-8] the licenses of all packages in it are handed on", () => {
    const licenses = files.find(({ name }) => name.startsWith("licenses"))?.text ?? "";
    for (const name of ["preact", "@preact/signals", "@preact/signals-core"])
      expect(licenses).toContain(`${name}\n\n`);
  });

  test("[CON-2] the scripts make no HTML of text", () => {
    for (const { text } of scripts())
      expect(text).not.toMatch(
        /insertAdjacentHTML|outerHTML|document\.write|\beval\(|new Function/,
      );
  });
});
