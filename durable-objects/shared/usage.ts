// Counts what an object uses, at the source. The cursors of its storage count rows, and its handlers count
// requests, messages and the time awake. The figures cover this life.
import type { Usage } from "../../src/core/metrics/usage.ts";

/** The alarm of an object. */
export interface Alarm {
  getAlarm(): Promise<number | null>;
  setAlarm(atMs: number): Promise<void>;
  deleteAlarm(): Promise<void>;
}

export class ObjectUsage implements Usage {
  #life: string | null = null;
  readonly startedAtMs = Date.now();
  rowsWritten = 0;
  rowsRead = 0;
  requests = 0;
  messages = 0;
  /** Called each time nothing is being served any more. */
  atRest: () => void = () => {};
  #awakeMs = 0;
  /** The number of events being served, and the time since when there are any. */
  #running = 0;
  #sinceMs = 0;
  #isAsked = false;

  /** Names this life. */
  get life(): string {
    this.#life ??= crypto.randomUUID();
    return this.#life;
  }

  /**
   * The time awake. On Cloudflare the clock stands still while an object computes, so this is mostly waiting
   * time.
   */
  get awakeMs(): number {
    return this.#awakeMs + (this.#running > 0 ? this.#elapsedMs : 0);
  }

  get #elapsedMs(): number {
    return Math.max(0, Date.now() - this.#sinceMs); // The clock may be set back.
  }

  get counts(): Usage {
    const { rowsWritten, rowsRead, requests, messages, awakeMs } = this;
    return { rowsWritten, rowsRead, requests, messages, awakeMs };
  }

  /** Notes that somebody asked for the state. Afterwards the object is as idle as before. */
  asked(): void {
    this.#isAsked = true;
  }

  /** Returns the alarm of an object. Setting it counts as a written row. */
  alarmOf(storage: Alarm): Alarm {
    return {
      getAlarm: () => storage.getAlarm(),
      setAlarm: (atMs) => {
        this.rowsWritten++;
        return storage.setAlarm(atMs);
      },
      deleteAlarm: () => storage.deleteAlarm(),
    };
  }

  /** Serves one event and counts it. */
  serve<T>(kind: "request" | "message" | "free", event: () => T): T {
    if (kind === "request") this.requests++;
    else if (kind === "message") this.messages++;
    if (this.#running++ === 0) this.#sinceMs = Date.now();
    let served: T;
    try {
      served = event();
    } catch (error) {
      this.#done();
      throw error;
    }
    if (served instanceof Promise) return served.finally(() => this.#done()) as T;
    this.#done();
    return served;
  }

  #done(): void {
    if (this.#running === 1) this.#awakeMs += this.#elapsedMs;
    if (--this.#running > 0) return;
    const isAsked = this.#isAsked;
    this.#isAsked = false;
    if (!isAsked) this.atRest();
  }
}

/** An object that counts its usage. The platform exposes only methods of a class to callers, not fields. */
export interface Counting {
  readonly usage: ObjectUsage;
}

type Handler = (this: Counting, ...values: unknown[]) => unknown;

/** The platform's events other than calls. Only incoming messages are billed, and closings are not. */
const EVENTS = {
  fetch: "request",
  alarm: "request",
  webSocketMessage: "message",
  webSocketClose: "free",
  webSocketError: "free",
} as const;

/** Makes an object's class count the events that it handles. `serveCalls` counts calls. */
export function countEvents(objectClass: { readonly prototype: Counting }): void {
  const prototype = objectClass.prototype as unknown as Record<string, Handler | undefined>;
  for (const [event, kind] of Object.entries(EVENTS)) {
    const handler = prototype[event];
    if (handler === undefined) continue;
    prototype[event] = function (this: Counting, ...values) {
      return this.usage.serve(kind, () => handler.apply(this, values));
    };
  }
}
