// The template repeats other parts of this tree, and must not fall behind.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

const TEMPLATE = "templates/worker";

/** The tables of a configuration, each with its lines. Comments are left out. */
function tablesOf(path: string): Map<string, string[]> {
  const tables = new Map<string, string[]>();
  let lines: string[] = [];
  tables.set("", lines);
  for (const line of readFileSync(path, "utf8").split("\n")) {
    const text = line.trim();
    if (text === "" || text.startsWith("#")) continue;
    if (text.startsWith("[")) {
      lines = tables.get(text) ?? [];
      tables.set(text, lines);
    } else lines.push(text);
  }
  return tables;
}

test("[TPL-3] the template's broker is configured as this one, except for what builds and serves it", () => {
  const own = tablesOf("wrangler.toml");
  own.delete("[build]");
  own.delete("[dev]");
  const copy = tablesOf(`${TEMPLATE}/broker/wrangler.toml`);
  const withoutMain = (tables: Map<string, string[]>) =>
    new Map(
      [...tables].map(([name, lines]) => [name, lines.filter((each) => !/^main =/.test(each))]),
    );
  expect(withoutMain(copy)).toEqual(withoutMain(own));
  expect(copy.get("")).toContain('main = "../node_modules/rivulet/dist/worker.js"');
  expect(own.size).toBeGreaterThan(4);
});

test("[TPL-3] the template depends on this release, and on the tools that it is tested with", () => {
  const read = (path: string) => JSON.parse(readFileSync(path, "utf8"));
  const { version, devDependencies } = read("package.json");
  const template = read(`${TEMPLATE}/package.json`);
  expect(template.dependencies).toEqual({ rivulet: `^${version}` });
  const names = Object.keys(template.devDependencies);
  expect(names.length).toBeGreaterThan(3);
  for (const name of names) expect(template.devDependencies[name]).toBe(devDependencies[name]);
});
