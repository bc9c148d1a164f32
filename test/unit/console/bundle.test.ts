// What the console is built to.
import { gzipSync } from "node:zlib";
import { beforeAll, describe, expect, test } from "vitest";
import { bundleConsole, type ConsoleFile } from "../../../src/self-host/console-bundle.ts";

const MAX_BYTES = 40_000;

describe("the console's files", () => {
  let files: readonly ConsoleFile[];
  beforeAll(async () => {
    files = await bundleConsole();
  });

  test("[CON-8] page, script and style are small", () => {
    const sent = files.filter(({ type }) => !type.startsWith("text/plain"));
    expect(sent).toHaveLength(3);
    const bytes = sent.reduce((sum, { text }) => sum + gzipSync(text, { level: 9 }).length, 0);
    expect(bytes).toBeLessThanOrEqual(MAX_BYTES);
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
    expect(again.map(({ name }) => name)).toEqual(files.map(({ name }) => name));
    for (const { name, hash } of files) if (name !== "") expect(name).toContain(hash);
  });

  test("[CON-8] the licenses of all packages in it are handed on", () => {
    const licenses = files.find(({ name }) => name.startsWith("licenses"))?.text ?? "";
    for (const name of ["preact", "@preact/signals", "@preact/signals-core"])
      expect(licenses).toContain(`${name}\n\n`);
  });

  test("[CON-2] the script makes no HTML of text", () => {
    const sources = files.find(({ name }) => name.endsWith(".js"))?.text ?? "";
    expect(sources).not.toMatch(
      /insertAdjacentHTML|outerHTML|document\.write|\beval\(|new Function/,
    );
  });
});
