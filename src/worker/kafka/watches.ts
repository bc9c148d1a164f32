// Answers heartbeats that bring nothing new. For each member that uses this connection, a socket watches its
// group (durable-objects/group/watchers.ts). While the group reports no change, its last answer still applies.
// The group then only needs to know that the member is alive. A PING reports that, and wakes no object
// [KFK-20].

import { isWithin, wasSetBack } from "../../core/elapsed.ts";
import { MAX_KAFKA_WATCHES } from "../../core/limits.ts";
import type { Env } from "../../env.ts";
import type { Socket } from "../../member/transport.ts";
import { PING, PONG } from "../../protocol/heartbeat.ts";
import { openWatch } from "../edge/stub-transport.ts";

/**
 * The wait for the answer to a PING. After that, the group may be gone and may have reassigned the member's
 * partitions.
 */
const PONG_TIMEOUT_MS = 2_000;

export interface Beat<T> {
  readonly answer: T;
  /** True if the answer stays the same as long as nothing changes. */
  readonly isQuiet: boolean;
}

/** The watches of one connection. */
export class Watches {
  readonly #env: Env;
  readonly #watches = new Map<string, Watch>();

  constructor(env: Env) {
    this.#env = env;
  }

  /** Answers a member that `said` this: with the last answer, or with the one that `ask` returns. */
  async heartbeat<T>(
    groupId: string,
    memberId: string,
    said: string,
    ask: () => Promise<Beat<T>>,
  ): Promise<T> {
    const place = `${groupId}\n${memberId}`;
    const watch = this.#watches.get(place);
    if (watch !== undefined && !watch.isClosed) return watch.heartbeat(said, ask);
    const { answer, isQuiet } = await ask();
    if (isQuiet) this.#watch(place, groupId, memberId);
    return answer;
  }

  /** Watches the group from the next heartbeat on. */
  #watch(place: string, groupId: string, memberId: string): void {
    this.#watches.delete(place);
    this.#makeRoom();
    this.#watches.set(place, new Watch(this.#env, groupId, memberId));
  }

  #makeRoom(): void {
    if (this.#watches.size < MAX_KAFKA_WATCHES) return;
    const [place, oldest] = this.#watches.entries().next().value as [string, Watch];
    oldest.close();
    this.#watches.delete(place);
  }

  close(): void {
    for (const watch of this.#watches.values()) watch.close();
    this.#watches.clear();
  }
}

class Watch {
  readonly #socket: Socket;
  #isOpen = false;
  isClosed = false;
  /** The time of the first unanswered PING, or null. */
  #pingedMs: number | null = null;
  /** The time of the last heartbeat. */
  #beatMs = 0;
  /** Counts the changes that the group has reported. */
  #changes = 0;
  #last: { readonly said: string; readonly answer: unknown } | null = null;

  constructor(env: Env, groupId: string, memberId: string) {
    this.#socket = openWatch(env, groupId, memberId, {
      opened: () => {
        this.#isOpen = true;
      },
      text: (text) => {
        if (text === PONG) this.#pingedMs = null;
        else this.#forget();
      },
      bytes: () => {},
      closed: () => this.#closed(),
    });
  }

  async heartbeat<T>(said: string, ask: () => Promise<Beat<T>>): Promise<T> {
    this.#closeIfUnanswered();
    this.#noteClock();
    if (this.#last?.said === said) {
      this.#socket.send(PING);
      this.#pingedMs ??= Date.now();
      return this.#last.answer as T;
    }
    // Changes from here on are reported, if the watch was open before the group was asked.
    const changes = this.#changes;
    const isWatched = this.#isOpen;
    this.#last = null;
    const { answer, isQuiet } = await ask();
    if (isWatched && isQuiet && changes === this.#changes) this.#last = { said, answer };
    return answer;
  }

  #closeIfUnanswered(): void {
    if (this.#pingedMs === null) return;
    if (isWithin(this.#pingedMs, PONG_TIMEOUT_MS, Date.now())) return;
    this.close();
    this.#closed();
  }

  /**
   * [CLK-4] Makes sure that the group is asked if the clock was set back. Its alarm is then late, and being
   * asked makes it notice.
   */
  #noteClock(): void {
    const nowMs = Date.now();
    if (wasSetBack(this.#beatMs, nowMs)) this.#forget();
    this.#beatMs = nowMs;
  }

  #closed(): void {
    this.isClosed = true;
    this.#forget();
  }

  #forget(): void {
    this.#changes++;
    this.#last = null;
  }

  close(): void {
    this.#socket.close(1000, "done");
  }
}
