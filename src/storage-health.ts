// Which objects this isolate has seen fail for want of their storage, and have not been seen to work since. The log tells
// an operator in one line each which object it is, in which file and why; `/health` tells everybody how many [ERR-4].
import {
  isStorageFailure,
  type ObjectError,
  type ObjectPlace,
  type PlatformFailure,
} from "./core/platform-errors.ts";

/** A failure that goes on is told of this often. */
const REPEAT_MS = 60_000;
/** Objects that are remembered. Whoever has that many damaged ones need not be told of the next. */
const MAX_OBJECTS = 10_000;

interface Trouble {
  /** What it failed to do. A full disk goes on being read, so only what failed says that it is over. */
  readonly method: string;
  readonly failure: PlatformFailure;
  toldAtMs: number;
  /** How often it has failed since it was told of. */
  untold: number;
  /** It has done something else since. Where only a part of what it stores is damaged, that goes on and on. */
  isOver: boolean;
  /** That it works again was told since the failure was. */
  isOverTold: boolean;
}

const troubles = new Map<string, Trouble>();

/** Objects that have failed and not worked since. */
export function failingObjects(): number {
  return Array.from(troubles.values()).filter(({ isOver }) => !isOver).length;
}

/** Forgets and tells nothing: for tests, which share an isolate. */
export function forgetTroubles(): void {
  troubles.clear();
}

export function noteFailure({ place, failure, message }: ObjectError, method: string): void {
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
  console.error(`${what}: ${place.name}, ${place.file}: ${method}: ${message}${again}`);
}

export function noteSuccess({ name }: ObjectPlace, method: string): void {
  if (troubles.size === 0) return;
  const trouble = troubles.get(name);
  if (trouble === undefined) return;
  if (trouble.isOver && trouble.method !== method) return;
  if (trouble.failure !== "damaged" && trouble.method !== method) return;
  if (!trouble.isOverTold) console.log(`storage works again: ${name}`);
  if (trouble.method === method) troubles.delete(name);
  else {
    trouble.isOver = true;
    trouble.isOverTold = true;
  }
  // The disk has room again, for the others too. What is damaged stays so.
  if (trouble.failure === "full")
    for (const [other, { failure }] of troubles) if (failure !== "damaged") troubles.delete(other);
}
