// An invocation's clock goes back with the machine's, an object's does not, and an alarm that was set before waits until the
// wall clock has caught up. So whoever notices here tells the groups, whose members would be waited for.
import { wasSetBack } from "../core/elapsed.ts";
import { FAN_OUT } from "../core/limits.ts";
import { mapConcurrently } from "../core/map-concurrently.ts";
import { clusterStub, type Env, groupStub, partitionStub } from "../env.ts";
import { isolate } from "./isolate.ts";

/**
 * [CLK-4] With each request; does nothing unless the clock was set back since the one before. Never throws. Only on a machine:
 * nobody sets Cloudflare's clocks, and no group is to be woken for the sake of one that is off.
 */
export async function noticeClock(env: Env): Promise<void> {
  if (env.RIVULET_FILES === undefined) return;
  const nowMs = Date.now();
  const latestMs = isolate.latestMs;
  isolate.latestMs = nowMs;
  if (!wasSetBack(latestMs, nowMs)) return;
  try {
    const { groups, partitions } = await clusterStub(env).noticeClock();
    // Partitions first: producers may be waiting.
    await mapConcurrently(partitions, FAN_OUT, ({ topicId, partition }) =>
      partitionStub(env, topicId, partition).noticeClock().catch(untold),
    );
    await mapConcurrently(groups, FAN_OUT, (groupId) =>
      // One that begins a new life for that does not answer. The next call finds the new one, which sets its alarm.
      groupStub(env, groupId)
        .noticeClock()
        .catch(() => groupStub(env, groupId).noticeClock())
        .catch(untold),
    );
  } catch (error) {
    untold(error);
  }
}

function untold(error: unknown): void {
  console.error(`not everybody was told that the clock was set back: ${error}`);
}
