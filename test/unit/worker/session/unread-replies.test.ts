import { describe, expect, test } from "vitest";
import {
  MAX_PLAIN_UNREAD_REPLY_BYTES,
  MESSAGE_OVERHEAD_BYTES,
} from "../../../../src/core/limits.ts";
import { UnreadReplies } from "../../../../src/worker/session/unread-replies.ts";

/** A client that takes as much as it wants of what it is sent. */
class Client {
  readonly #replies = new UnreadReplies();
  unsent = 0;
  isFlooded = false;

  send(bytes: number, isReply: boolean): void {
    const before = this.unsent;
    this.unsent += bytes;
    if (!this.#replies.sent(isReply, before, this.unsent)) this.isFlooded = true;
  }

  take(bytes: number): void {
    this.unsent = Math.max(0, this.unsent - bytes);
  }
}

const PONG_BYTES = 4;
const ENOUGH = Math.ceil(MAX_PLAIN_UNREAD_REPLY_BYTES / (PONG_BYTES + MESSAGE_OVERHEAD_BYTES));

describe("what is unread besides records", () => {
  test.each([
    ["tiny", PONG_BYTES, ENOUGH],
    ["large", 10_000, 110],
  ])(
    "[BND-17] a client that takes nothing is sent a bounded number of %s messages",
    (_, bytes, most) => {
      const client = new Client();
      let count = 0;
      while (!client.isFlooded && count <= most) {
        client.send(bytes, true);
        count++;
      }
      expect(client.isFlooded).toBe(true);
    },
  );

  test("[BND-17] at most twice the bound is unread, whatever it takes in between", () => {
    const client = new Client();
    let most = 0;
    for (let i = 0; i < 10 * ENOUGH && !client.isFlooded; i++) {
      client.send(1_000, true);
      if (i % 500 === 499) client.take(100_000);
      most = Math.max(most, client.unsent);
    }
    expect(client.isFlooded).toBe(true);
    expect(most).toBeLessThanOrEqual(2 * MAX_PLAIN_UNREAD_REPLY_BYTES);
  });

  test("[BND-17] a client that reads slowly and is always behind with records continues forever", () => {
    const client = new Client();
    for (let i = 0; i < 100 * ENOUGH && !client.isFlooded; i++) {
      while (client.unsent < 1_000_000) client.send(50_000, false);
      client.send(PONG_BYTES, true);
      client.take(5_000);
    }
    expect(client.isFlooded).toBe(false);
  });

  test("[BND-17] nothing counts if the runtime does not report it", () => {
    const replies = new UnreadReplies();
    const sent = Array.from({ length: 10 * ENOUGH }, () => replies.sent(true, 0, 0));
    expect(sent).not.toContain(false);
  });
});
