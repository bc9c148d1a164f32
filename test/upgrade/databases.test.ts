// The databases of each kept release, opened by this tree's bundle.
import { afterEach, expect, test } from "vitest";
import { killBrokers, ReleaseBroker } from "../releases/release-broker.ts";
import { inFolder, keptVersions, leftIn, manifestOf, thaw } from "../releases/releases.ts";
import { expectContent, use } from "../releases/use.ts";
import { BUNDLE } from "./bundle.ts";

afterEach(killBrokers);

test.each(keptVersions())(
  "[VER-5] data of release %s is found, and used, and still there after a restart",
  (version) =>
    inFolder(async (dataDir) => {
      thaw(version, dataDir);
      const manifest = manifestOf(version);
      expect(manifest.version).toBe(version);
      expect(leftIn(dataDir).tasks).toHaveLength(1);
      expect(leftIn(dataDir).topicIds).toContain(manifest.deleting);
      const first = await ReleaseBroker.start({ dataDir, bundle: BUNDLE });
      await expectContent(first, manifest);
      const used = await use(first, manifest, "one");
      await first.stop();
      // The task of the earlier release was done.
      expect(leftIn(dataDir).tasks).toEqual([]);
      expect(leftIn(dataDir).topicIds).not.toContain(manifest.deleting);
      const second = await ReleaseBroker.start({ dataDir, bundle: BUNDLE });
      await expectContent(second, used);
      await expectContent(second, await use(second, used, "two"));
      await second.stop();
    }),
);
