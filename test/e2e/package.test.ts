// The build's output for the package. `npm run test:package` installs it and uses it.
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const DIST = fileURLToPath(new URL("../../dist/", import.meta.url));

test.each([
  ["SDK", /^client.*\.js$/, /^\.\/client-/],
  ["KafkaJS's socket factory", /^kafkajs\.js$/, /^node:stream$/],
  ["command line and the broker", /^rivulet.*\.js$/, /^(node:|module$|\.\/rivulet-)/],
])("[PKG-4] what it needs of others is bundled into the %s", (_what, files, allowed) => {
  const paths = readdirSync(DIST).filter((name) => files.test(name));
  expect(paths.length).toBeGreaterThan(0);
  const imported = paths.flatMap((name) => {
    const text = readFileSync(DIST + name, "utf8");
    const matches = text.matchAll(
      /^(?:import|export|\})[^"\n]*? from "([^"]+)"|import\("([^"]+)"\)/gm,
    );
    return [...matches].map(([, name, loaded]) => name ?? loaded ?? "");
  });
  expect(imported.length).toBeGreaterThan(0);
  expect(imported.filter((name) => !allowed.test(name))).toEqual([]);
});
