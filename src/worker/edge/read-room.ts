// Reads of partitions that are in progress. A partition returns at least one batch, whatever was requested, and
// the answers of many reads may arrive before the first is processed. So only some reads run at once, and the
// others wait for their turn [BND-26].
import type { Holding } from "../../core/ledger.ts";
import {
  MAX_MESSAGE_BYTES,
  MAX_READ_TURN_MS,
  MAX_READS_BYTES,
  MIN_READ_ROOM_BYTES,
} from "../../core/limits.ts";
import { memory } from "../../memory.ts";
import { isolate } from "./isolate.ts";
import { after } from "./timer.ts";

/** The time for which a waiting read relies on others to wake it. Their invocations may be killed. */
const LOOK_MS = 250;
/** A read is assumed to be as large as the largest recent one, which counts less with each read. */
const FADING = 0.9;

/** The waiting reads, in order. */
const waiting = new Set<() => void>();

/**
 * Reads, once there is room for it. `read` returns batches; `maxBytes` is the size that it requests.
 * @throws BrokerError THROTTLING_QUOTA_EXCEEDED if there is no room for too long
 */
export async function readInTurn<T extends object>(
  maxBytes: number,
  read: () => Promise<T>,
): Promise<T> {
  const holding = memory.reads.holdFixed();
  const sinceMs = Date.now();
  if (waiting.size > 0) await turn();
  while (!hasTaken(holding, Math.max(maxBytes, isolate.largeReadBytes), sinceMs)) await turn();
  wakeNext(); // There may be room for more than one.
  try {
    const result = await read();
    const bytes = "batches" in result ? (result.batches as Uint8Array).length : 0;
    const faded = Math.max(isolate.largeReadBytes * FADING, MIN_READ_ROOM_BYTES);
    isolate.largeReadBytes = Math.min(Math.max(bytes, faded), MAX_MESSAGE_BYTES);
    return result;
  } finally {
    holding.release();
    wakeNext();
  }
}

/** @throws BrokerError THROTTLING_QUOTA_EXCEEDED if it has waited too long */
function hasTaken(holding: Holding, bytes: number, sinceMs: number): boolean {
  try {
    holding.set(bytes);
    return true;
  } catch (error) {
    const waitedMs = Date.now() - sinceMs;
    if (waitedMs < 0 || waitedMs > MAX_READ_TURN_MS) throw error; // [CLK-3] The clock may have been set back.
    return false;
  }
}

/** Wakes the next read. A read that wakes in vain waits behind all others again. */
function wakeNext(): void {
  if (memory.reads.bytes + isolate.largeReadBytes > MAX_READS_BYTES) return;
  const [next] = waiting;
  next?.();
}

/** Resolves when there may be room. */
function turn(): Promise<void> {
  return new Promise((resolve) => {
    const told = () => {
      stop();
      waiting.delete(told);
      resolve();
    };
    const stop = after(LOOK_MS, told);
    waiting.add(told);
  });
}
