// Nothing notifies a reader without a group that its topic has grown, so it asks.

import type { Env } from "../../env.ts";
import type { ReaderPlace } from "../../member/places.ts";
import { topicMetadata } from "../edge/metadata.ts";

/**
 * The interval of the question. It costs nothing while the topic's metadata is fresh. A partition that was
 * added in this isolate is read after at most 15 s. If it was added elsewhere, METADATA_FRESH_MS and a fifth of
 * it come on top.
 */
const LOOK_AGAIN_MS = 15_000;

/**
 * [STR-7] Calls `add` with the partitions that were added to the topic since `known`; they are read from their
 * start. A topic that was created anew under the name is another topic. Returns a function that stops it.
 */
export function watchGrowth(
  env: Env,
  known: { readonly name: string; readonly topicId: string; readonly partitions: number },
  add: (places: readonly ReaderPlace[]) => void,
): () => void {
  const { name: topic, topicId } = known;
  let next = known.partitions;
  const timer = setInterval(async () => {
    const now = await topicMetadata(env, topic).catch(() => null); // It asks again soon.
    const added: ReaderPlace[] = [];
    if (now?.topicId === topicId)
      while (next < now.partitions) added.push({ topic, topicId, partition: next++, offset: 0 });
    if (added.length > 0) add(added);
  }, LOOK_AGAIN_MS);
  return () => clearInterval(timer);
}
