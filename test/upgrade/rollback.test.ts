// One step back and forth again: the previous release's bundle on the data of this tree's bundle.
import { afterEach, expect, test } from "vitest";
import { find } from "../releases/found.ts";
import { killBrokers, ReleaseBroker } from "../releases/release-broker.ts";
import { bundleOf, inFolder, manifestOf, previousVersion, thaw } from "../releases/releases.ts";
import { type Content, expectContent, use } from "../releases/use.ts";
import { write } from "../releases/write.ts";
import { BUNDLE } from "./bundle.ts";

process.env.KAFKAJS_NO_PARTITIONER_WARNING = "1";
afterEach(killBrokers);

/** Runs a broker on the folder until the body is done. */
async function during<T>(
  dataDir: string,
  bundle: string,
  body: (broker: ReleaseBroker) => Promise<T>,
): Promise<T> {
  const broker = await ReleaseBroker.start({ dataDir, bundle });
  try {
    return await body(broker);
  } finally {
    await broker.stop();
  }
}

/** Finds and uses the content with the previous release, with this one, and with the previous one again. */
async function backAndForth(dataDir: string, content: Content): Promise<void> {
  const previous = bundleOf(previousVersion(), dataDir);
  let now = content;
  for (const [i, bundle] of [previous, BUNDLE, previous, BUNDLE].entries())
    now = await during(dataDir, bundle, async (broker) => {
      await expectContent(broker, now);
      return use(broker, now, `step-${i}`);
    });
  expect(now.repeats.keyed.length).toBe(content.repeats.keyed.length + 4);
}

test("[VER-6] data of this release is found and used by the previous one, and by this one again", () =>
  inFolder(async (dataDir) => {
    const written = await during(dataDir, BUNDLE, write);
    const found = await during(dataDir, BUNDLE, find);
    await backAndForth(dataDir, { ...written, found });
  }));

test("[VER-6] so is data of the previous release that this one has upgraded to its version", () =>
  inFolder(async (dataDir) => {
    const version = previousVersion();
    thaw(version, dataDir);
    const content = manifestOf(version);
    const used = await during(dataDir, BUNDLE, (broker) => use(broker, content, "upgraded"));
    await backAndForth(dataDir, used);
  }));
