// The databases of each kept release, opened by this tree's bundle.
import { beforeAll, expect, test } from "vitest";
import { ReleaseBroker } from "../releases/release-broker.ts";
import { inFolder, keptVersions, manifestOf, thaw } from "../releases/releases.ts";
import { expectContent, use } from "../releases/use.ts";
import { BUNDLE } from "./bundle.ts";

beforeAll(() => {
  process.env.KAFKAJS_NO_PARTITIONER_WARNING = "1";
});

test.each(keptVersions())(
  "[VER-5] what release %s has written is found, and used, and still there after a restart",
  (version) =>
    inFolder(async (dataDir) => {
      thaw(version, dataDir);
      const manifest = manifestOf(version);
      expect(manifest.version).toBe(version);
      const first = await ReleaseBroker.start({ dataDir, bundle: BUNDLE });
      await expectContent(first, manifest);
      const used = await use(first, manifest, "one");
      await first.stop();
      const second = await ReleaseBroker.start({ dataDir, bundle: BUNDLE });
      await expectContent(second, used);
      await expectContent(second, await use(second, used, "two"));
      await second.stop();
    }),
);
