// A reader without a group is told by nobody that its topic has grown, so it asks.

import type { Env } from "../../env.ts";
import type { ReaderPlace } from "../../member/places.ts";
import { topicMetadata } from "../edge/metadata.ts";

/**
 * It costs nothing while the topic's metadata is fresh. So a partition is read 15 s after it was added in this isolate, and
 * within METADATA_FRESH_MS and a fifth, and these 15 s, if it was added elsewhere.
 */
const LOOK_AGAIN_MS = 15_000;

/**
 * [STR-7] Calls `add` with the partitions that were added to the topic since `known`, which are read from their
 * beginning. A topic that was created anew under the name is another one. Returns a function that stops it.
 */
export function watchGrowth(
  env: Env,
  known: { readonly name: string; readonly topicId: string; readonly partitions: number },
  add: (places: readonly ReaderPlace[]) => void,
): () => void {
  const { name: topic, topicId } = known;
  let next = known.partitions;
  const timer = setInterval(async () => {
    const now = await topicMetadata(env, topic).catch(() => null); // It is asked again soon.
    const added: ReaderPlace[] = [];
    if (now?.topicId === topicId)
      while (next < now.partitions) added.push({ topic, topicId, partition: next++, offset: 0 });
    if (added.length > 0) add(added);
  }, LOOK_AGAIN_MS);
  return () => clearInterval(timer);
}
