// [BND-17] The replies, as opposed to records, that a client was sent and has not read. A socket is read in the
// order in which it was written. Once all data sent before a mark is taken, the count restarts, with a new mark
// at the current end. So a client that reads, even if slowly and always behind, is never charged for long, and
// at most twice the bound is unread.
import { MAX_PLAIN_UNREAD_REPLY_BYTES, MESSAGE_OVERHEAD_BYTES } from "../../core/limits.ts";

export class UnreadReplies {
  /** The number of bytes sent, including records. */
  #sentBytes = 0;
  #markBytes = 0;
  #replyBytes = 0;

  /**
   * Counts a message. The arguments are the unsent bytes before and after it. Returns false if too many replies
   * are unread.
   */
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
