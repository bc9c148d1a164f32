// RIVULET_TRACE=1 logs one JSON line each time an object starts (its first use, or its return from hibernation)
// and for each alarm. This shows that an idle group costs nothing.
import type { ObjectKind } from "../../src/calls/calls.ts";
import type { Env } from "../../src/env.ts";

export function trace(env: Env, object: ObjectKind, name: string, event: "start" | "alarm"): void {
  if (env.RIVULET_TRACE !== "1") return;
  console.log(JSON.stringify({ trace: event, object, name, atMs: Date.now() }));
}
