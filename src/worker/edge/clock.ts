// Notifies objects that the clock was set back. An invocation's clock goes back with the machine's, but an
// object's does not. An alarm that was set before waits until the wall clock has caught up. So the invocation
// that notices it notifies the groups; otherwise they would keep waiting for their members.

import { wasSetBack } from "../../core/elapsed.ts";
import { FAN_OUT } from "../../core/limits.ts";
import { mapConcurrently } from "../../core/map-concurrently.ts";
import { clusterStub, type Env, groupStub } from "../../env.ts";
import { logLine } from "../../log.ts";
import { isolate } from "./isolate.ts";
import { partitionAt } from "./metadata.ts";

/**
 * [CLK-4] Runs with each request. It does nothing unless the clock was set back since the previous request, and
 * never throws. It runs only on a machine: nobody sets Cloudflare's clocks, and no group should be woken
 * because one of them is off.
 */
export async function noticeClock(env: Env): Promise<void> {
  if (env.RIVULET_FILES === undefined) return;
  const nowMs = Date.now();
  const latestMs = isolate.latestMs;
  isolate.latestMs = nowMs;
  if (!wasSetBack(latestMs, nowMs)) return;
  try {
    const { groups, partitions } = await clusterStub(env).noticeClock();
    // Partitions come first, because producers may be waiting for them.
    await mapConcurrently(partitions, FAN_OUT, ({ topicId, partition }) =>
      partitionAt(env, topicId, partition).noticeClock().catch(untold),
    );
    await mapConcurrently(groups, FAN_OUT, (groupId) =>
      // A group that begins a new life because of this does not answer. The next call reaches the new life,
      // which sets its alarm.
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
  logLine("error", `not every object was notified that the clock was set back: ${error}`);
}
