// [BND-17] What a client was told besides records, and has not read. A socket is read in the order in which it was written: once
// all that had been sent at some moment is taken, the count begins anew with that moment's end. So a client that reads, be it
// slowly and always behind, is never charged for long, and at most twice the bound is unread.
import { MAX_PLAIN_UNREAD_REPLY_BYTES, MESSAGE_OVERHEAD_BYTES } from "../core/limits.ts";

export class UnreadReplies {
  /** Of everything, records included. */
  #sentBytes = 0;
  #markBytes = 0;
  #replyBytes = 0;

  /** Something was sent: what was unsent before and after. False where too many replies are unread. */
  sent(isReply: boolean, beforeBytes: number, afterBytes: number): boolean {
    const bytes = Math.max(0, afterBytes - beforeBytes);
    const takenBytes = this.#sentBytes - beforeBytes;
    if (takenBytes >= this.#markBytes) {
      this.#markBytes = this.#sentBytes;
      this.#replyBytes = 0;
    }
    this.#sentBytes += bytes;
    if (isReply) this.#replyBytes += bytes + MESSAGE_OVERHEAD_BYTES;
    return this.#replyBytes <= MAX_PLAIN_UNREAD_REPLY_BYTES;
  }
}
