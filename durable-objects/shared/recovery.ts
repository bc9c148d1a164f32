// [RCV-1] Point-in-time recovery of one object, if the platform supports it. Durable Objects on SQLite keep the
// changes of 30 days and can begin their next life with the state at a bookmark. workerd on a machine keeps
// none.
import type { RecoveryPoint, Restored } from "../../src/calls/recovery.ts";
import { type Failure, fail, type Result } from "../../src/core/errors.ts";
import { message } from "./message.ts";

/** The part of an object's state that recovery needs. */
interface Life {
  readonly storage: {
    getCurrentBookmark(): Promise<string>;
    getBookmarkForTime(timestamp: number): Promise<string>;
    onNextSessionRestoreBookmark(bookmark: string): Promise<string>;
    sync(): Promise<void>;
  };
  abort(reason: string): void;
  waitUntil(promise: Promise<unknown>): void;
}

/** The error message of workerd if the storage is a plain file. */
const NOT_THERE = /does not implement point-in-time recovery/;

/** Finds the bookmark for a time. It changes nothing. */
export async function recoveryPoint(
  { storage }: Life,
  toMs: number,
): Promise<Result<RecoveryPoint>> {
  try {
    const bookmark = await storage.getBookmarkForTime(toMs);
    return { ok: true, bookmark, currentBookmark: await storage.getCurrentBookmark() };
  } catch (error) {
    return failureOf(error);
  }
}

/**
 * Ends the life of the object. The next life begins with the state at the bookmark. `stop` is called once that
 * is certain; nothing may be stored or acknowledged after it. Returns the bookmark that undoes the restore.
 */
export async function restoreTo(
  life: Life,
  bookmark: string,
  stop: () => void,
): Promise<Result<Restored>> {
  try {
    const undoBookmark = await life.storage.onNextSessionRestoreBookmark(bookmark);
    stop();
    life.waitUntil(end(life));
    return { ok: true, undoBookmark };
  } catch (error) {
    return failureOf(error);
  }
}

async function end(life: Life): Promise<void> {
  await life.storage.sync();
  await message(); // The answer is on its way.
  life.abort("it is restored to an earlier time");
}

/** The answer to every call between the restore and the end of the life. */
export const BEING_RESTORED: Failure = fail(
  "COORDINATOR_NOT_AVAILABLE",
  "it is being restored to an earlier time; try again",
);

function failureOf(error: unknown): Failure {
  const reason = error instanceof Error ? error.message : String(error);
  if (NOT_THERE.test(reason))
    return fail(
      "UNSUPPORTED_VERSION",
      "the storage of this broker keeps no earlier states; only Cloudflare's does, for 30 days. On one machine, restore a copy of the data folder or import an export",
    );
  return fail("INVALID_REQUEST", `the platform cannot restore that: ${reason}`);
}
