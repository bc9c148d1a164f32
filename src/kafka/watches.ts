// Heartbeats that say nothing new are answered here. For each member that speaks over this connection its group is watched
// over a socket (durable-objects/group/watchers.ts): while the group has not said that something changed, what it answered
// last holds, and all it needs to know is that the member is there. That a PING says, which wakes no object [KFK-20].

import type { Socket } from "../client/transport/transport.ts";
import { isWithin, wasSetBack } from "../core/elapsed.ts";
import { MAX_KAFKA_WATCHES } from "../core/limits.ts";
import { openWatch } from "../edge/stub-transport.ts";
import type { Env } from "../env.ts";
import { PING, PONG } from "../protocol/heartbeat.ts";

/** A PING that is not answered for so long: the group may be gone, and have given the member's partitions away. */
const PONG_TIMEOUT_MS = 2_000;

export interface Beat<T> {
  readonly answer: T;
  /** Whether the same would be answered again as long as nothing changes. */
  readonly isQuiet: boolean;
}

/** The watches of one connection. */
export class Watches {
  readonly #env: Env;
  readonly #watches = new Map<string, Watch>();

  constructor(env: Env) {
    this.#env = env;
  }

  /** The answer to what the member has `said`: the last one, or what `ask` brings. */
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

  /** From the next heartbeat on. */
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
  /** Since when a PING is not answered. */
  #pingedMs: number | null = null;
  /** When the last heartbeat came. */
  #beatMs = 0;
  /** Counts what the group has told. */
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
    this.#checkPong();
    this.#checkClock();
    if (this.#last?.said === said) {
      this.#socket.send(PING);
      this.#pingedMs ??= Date.now();
      return this.#last.answer as T;
    }
    // What changes from here on is told, if the watch was open before the group was asked.
    const changes = this.#changes;
    const isWatched = this.#isOpen;
    this.#last = null;
    const { answer, isQuiet } = await ask();
    if (isWatched && isQuiet && changes === this.#changes) this.#last = { said, answer };
    return answer;
  }

  #checkPong(): void {
    if (this.#pingedMs === null) return;
    if (isWithin(this.#pingedMs, PONG_TIMEOUT_MS, Date.now())) return;
    this.close();
    this.#closed();
  }

  /** [CLK-4] The group's alarm waits for a clock that was set back. It notices that by being asked something. */
  #checkClock(): void {
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
