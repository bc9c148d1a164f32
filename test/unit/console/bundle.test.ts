// The build of the console.
import { readdirSync } from "node:fs";
import { basename } from "node:path";
import { gzipSync } from "node:zlib";
import { beforeAll, describe, expect, test } from "vitest";
import type { BrowserFile } from "../../../src/self-host/browser-files.ts";
import { bundleConsole, type ConsoleBundle } from "../../../src/self-host/console-bundle.ts";

const MAX_BYTES = 40_000;
const MAX_SDK_BYTES = 25_000;
const PAGES = readdirSync("src/console/pages").map((name) => `src/console/pages/${name}`);

/** Pages with tabs. */
const FRAMES = ["src/console/pages/topic.tsx", "src/console/pages/group.tsx"];

describe("the console's files", () => {
  let bundle: ConsoleBundle;
  let files: readonly BrowserFile[];
  beforeAll(async () => {
    bundle = await bundleConsole();
    ({ files } = bundle);
  });

  const sentAtFirst = () => sentWith("");
  const scripts = () =>
    files.filter(({ name }) => name.endsWith(".js") && !name.startsWith("learn-"));

  /** Returns the files that a page loads by itself: those it names, and those that these scripts import at once. */
  function sentWith(page: string): string[] {
    const textOf = (name: string) => files.find((each) => each.name === name)?.text ?? "";
    const named = textOf(page).matchAll(/\/console\/assets\/([^"]+\.(?:js|css))"/g);
    const sent = new Set([page, ...Array.from(named, ([, name = ""]) => name)]);
    for (const name of sent)
      if (name.endsWith(".js"))
        for (const [, other = ""] of textOf(name).matchAll(/(?:from|import)\s*"\.\/([^"]+)"/g))
          sent.add(other);
    return [...sent];
  }

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

  /** Returns the sources that a source imports, at once or later, except the tabs of a frame. */
  function importedBy(source: string): string[] {
    return (bundle.metafile.inputs[source]?.imports ?? [])
      .filter(({ kind }) => !FRAMES.includes(source) || kind !== "dynamic-import")
      .map(({ path }) => path)
      .filter((path) => path !== "src/console/main.tsx");
  }

  function framesOf(page: string): string[] {
    const { inputs } = bundle.metafile;
    return FRAMES.filter((frame) =>
      inputs[frame]?.imports.some(({ path }) => path === `later:${page}`),
    );
  }

  /**
   * Returns the files of a page, with all that can be opened on it, besides those that are sent first. A tab is a page,
   * which comes with a frame.
   */
  function loadedBy(page: string, frame = framesOf(page)[0]): string[] {
    const { outputs } = bundle.metafile;
    const sources = new Set([page, ...(frame === undefined ? [] : [frame])]);
    for (const source of sources) for (const path of importedBy(source)) sources.add(path);
    return Object.entries(outputs)
      .filter(([, output]) => Object.keys(output.inputs).some((source) => sources.has(source)))
      .map(([path]) => basename(path));
  }

  test("[CON-8] page, first script and style are small", () => {
    expect(sentAtFirst()).toHaveLength(3);
    expect(bytesOf(sentAtFirst())).toBeLessThanOrEqual(MAX_BYTES);
  });

  test.each(PAGES)("[CON-8] %s is small with everything that it loads", (page) => {
    for (const frame of [undefined, ...framesOf(page)])
      expect(bytesOf([...sentAtFirst(), ...loadedBy(page, frame)])).toBeLessThanOrEqual(MAX_BYTES);
  });

  test("[CON-8] code loaded later belongs to some page, and the first script imports none of it", () => {
    const loaded = new Set(PAGES.flatMap((page) => loadedBy(page)));
    for (const { name } of scripts()) expect([...loaded]).toContain(name);
    expect(loadedBy("src/console/pages/access.tsx").length).toBeGreaterThan(1);
    const config = loadedBy("src/console/pages/topic-config.tsx").join();
    expect(config).toContain("topic-config-");
    expect(config).toMatch(/\btopic-[A-Z0-9]{8}\.js/);
    expect(loadedBy("src/console/pages/topic.tsx").join()).not.toContain("topic-config-");
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

  test.each([
    ["", 4],
    ["learn", 5],
  ])(
    "[CON-1] [CON-8] [LRN-1] the page %j refers only to files that are served with it",
    (path, count) => {
      const page = files.find(({ name }) => name === path)?.text ?? "";
      const named = [...page.matchAll(/(?:src|href)="([^"]*)"/g)].map(([, name]) => name ?? "");
      const served = files.map(({ name }) => `/console/assets/${name}`);
      for (const name of named)
        expect([...served, "data:"].some((each) => name.startsWith(each))).toBe(true);
      expect(named).toHaveLength(count);
      expect(page).not.toMatch(/<style|style=|<script(?! type="module" src=)|\son\w+=/);
    },
  );

  test("[LRN-1] the lesson's page, scripts and styles are small, and so is the SDK that comes with the topic", () => {
    const sent = sentWith("learn");
    expect(sent).toContain(sentAtFirst().find((name) => name.endsWith(".css")));
    expect(bytesOf(sent)).toBeLessThanOrEqual(MAX_BYTES);
    const sdk = files.map(({ name }) => name).filter((name) => name.startsWith("learn-members-"));
    expect(sdk).toHaveLength(1);
    expect(sent).not.toContain(sdk[0]);
    expect(bytesOf(sdk)).toBeLessThanOrEqual(MAX_SDK_BYTES);
  });

  test("[CON-1] names change with the content of the files, and with nothing else", async () => {
    const again = await bundleConsole();
    expect(again.files.map(({ name }) => name)).toEqual(files.map(({ name }) => name));
    for (const { name, type, hash } of files)
      if (!type.startsWith("text/html")) expect(name).toContain(hash);
  });

  test("[CON-8] [LRN-1] the licenses of all packages in them are included", () => {
    const licenses = files.find(({ name }) => name.startsWith("licenses"))?.text ?? "";
    for (const name of ["preact", "@preact/signals", "@preact/signals-core", "fflate", "fzstd"])
      expect(licenses).toContain(`${name}\n\n`);
  });

  test("[CON-2] the scripts make no HTML from text", () => {
    for (const { text } of files.filter(({ name }) => name.endsWith(".js")))
      expect(text).not.toMatch(
        /insertAdjacentHTML|outerHTML|document\.write|\beval\(|new Function/,
      );
  });
});
