// The objects that this isolate has seen fail because of their storage, and not work since. The log has one line for
// each, for an operator: which object, in which file and why. `/health` tells everybody how many there are [ERR-4].

import {
  isStorageFailure,
  type ObjectError,
  type ObjectPlace,
  type PlatformFailure,
} from "./core/platform-errors.ts";
import { logLine } from "./log.ts";

/** How often a failure that continues is logged. */
const REPEAT_MS = 60_000;
/** The most objects that are remembered. An operator with that many damaged ones need not hear of the next. */
const MAX_OBJECTS = 10_000;

interface Trouble {
  /**
   * The call that failed. A full disk can still be read, so only
   * success of the same call shows that the failure is over.
   */
  readonly method: string;
  readonly failure: PlatformFailure;
  toldAtMs: number;
  /** How often it has failed since it was last logged. */
  untold: number;
  /** True if another call has worked since. If only a part of its data is damaged, both can alternate forever. */
  isOver: boolean;
  /** True if the recovery was logged since the failure was. */
  isOverTold: boolean;
}

const troubles = new Map<string, Trouble>();

/** Returns the number of objects that have failed and not worked since. */
export function failingObjects(): number {
  return Array.from(troubles.values()).filter(({ isOver }) => !isOver).length;
}

/** Forgets everything and logs nothing. For tests, which share an isolate. */
export function forgetTroubles(): void {
  troubles.clear();
}

export function noteFailure(
  { place, failure, message }: ObjectError,
  method: string,
  requestId?: string,
): void {
  if (!isStorageFailure(failure)) return;
  const known = troubles.get(place.name);
  if (known === undefined && troubles.size >= MAX_OBJECTS) return;
  const nowMs = Date.now();
  const trouble = {
    method,
    failure,
    toldAtMs: nowMs,
    untold: 0,
    isOver: false,
    isOverTold: false,
  };
  if (known !== undefined && known.failure === failure && nowMs - known.toldAtMs < REPEAT_MS) {
    const { toldAtMs, untold, isOverTold } = known;
    troubles.set(place.name, { ...trouble, toldAtMs, untold: untold + 1, isOverTold });
    return;
  }
  troubles.set(place.name, trouble);
  const again = known === undefined || known.untold === 0 ? "" : `, ${known.untold} times more`;
  const what = failure === "storage" ? "storage failed" : `storage ${failure}`;
  logLine("error", `${what}: ${place.name}, ${place.file}: ${method}: ${message}${again}`, {
    requestId,
    method,
  });
}

export function noteSuccess({ name }: ObjectPlace, method: string): void {
  if (troubles.size === 0) return;
  const trouble = troubles.get(name);
  if (trouble === undefined) return;
  if (trouble.isOver && trouble.method !== method) return;
  if (trouble.failure !== "damaged" && trouble.method !== method) return;
  if (!trouble.isOverTold) logLine("info", `storage works again: ${name}`);
  if (trouble.method === method) troubles.delete(name);
  else {
    trouble.isOver = true;
    trouble.isOverTold = true;
  }
  // The disk has room again, for the other objects too. Damage stays.
  if (trouble.failure === "full")
    for (const [other, { failure }] of troubles) if (failure !== "damaged") troubles.delete(other);
}
