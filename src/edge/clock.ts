// An invocation's clock goes back with the machine's, an object's does not, and an alarm that was set before waits until the
// wall clock has caught up. So whoever notices here tells the groups, whose members would be waited for.
import { wasSetBack } from "../core/elapsed.ts";
import { FAN_OUT } from "../core/limits.ts";
import { mapConcurrently } from "../core/map-concurrently.ts";
import { clusterStub, type Env, groupStub } from "../env.ts";
import { isolate } from "./isolate.ts";

/** [CLK-4] Called with each request. Resolves at once, unless the clock was set back since the one before. */
export async function noticeClock(env: Env): Promise<void> {
  const nowMs = Date.now();
  const latestMs = isolate.latestMs;
  isolate.latestMs = nowMs;
  if (!wasSetBack(latestMs, nowMs)) return;
  const groups = await clusterStub(env).groups();
  await mapConcurrently(groups, FAN_OUT, (groupId) => groupStub(env, groupId).noticeClock());
}
