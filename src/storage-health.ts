// The objects whose storage has failed in this isolate, and which have not worked since. The log has a line for each,
// for an operator: the object, its file and the reason. `/health` reports their number to everybody [ERR-4].

import {
  isStorageFailure,
  type ObjectError,
  type ObjectPlace,
  type PlatformFailure,
} from "./core/platform-errors.ts";
import { logLine } from "./log.ts";

/** The interval at which a continuing failure is logged. */
const REPEAT_MS = 60_000;
/** The number of objects that are remembered. An operator with this many damaged objects need not hear of more. */
const MAX_OBJECTS = 10_000;

interface Trouble {
  /** The call that failed. A full disk can still be read, so only a success of the same call ends the failure. */
  readonly method: string;
  readonly failure: PlatformFailure;
  toldAtMs: number;
  /** The number of failures since it was last logged. */
  untold: number;
  /**
   * True if another call has succeeded since. If only a part of an object's data is damaged, both may alternate
   * forever.
   */
  isOver: boolean;
  /** True if the recovery was logged after the failure. */
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
  // The disk has room again, for other objects too. Damage remains.
  if (trouble.failure === "full")
    for (const [other, { failure }] of troubles) if (failure !== "damaged") troubles.delete(other);
}
