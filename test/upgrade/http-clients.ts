// Clients without a connection, at work across restarts: a member of a group that polls, and a producer whose requests have
// an `Idempotency-Key`. Both repeat a request until it is answered.
import { setTimeout } from "node:timers/promises";
import { HistoryWriter, type Place } from "../torture/history.ts";

const RETRY_MS = 100;
const PAUSE_MS = 20;

interface Refused {
  readonly code: string;
  readonly retriable: boolean;
  readonly detail: string;
}

abstract class Repeater {
  /** Events that must not have happened. */
  readonly findings: string[] = [];
  /** The responses so far. */
  answers = 0;
  #isStopping = false;
  #isAbandoned = false;
  readonly #ended: Promise<void>;
  readonly #url: string;

  constructor(url: string) {
    this.#url = url;
    this.#ended = this.#run();
  }

  /** One request after another, each with its response. */
  protected abstract turn(): Promise<void>;

  async #run(): Promise<void> {
    await setTimeout(0); // The fields of the subclass are set by then.
    while (!this.#isStopping) {
      await this.turn();
      await setTimeout(PAUSE_MS);
    }
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    await this.#ended;
  }

  /** Waits for no more responses. */
  abandon(): void {
    this.#isStopping = true;
    this.#isAbandoned = true;
  }

  /** Sends the request until it is answered. Null if it was refused for good, which is a finding. */
  protected async insist<T>(
    path: string,
    body: object,
    headers: Record<string, string> = {},
  ): Promise<T | null> {
    while (!this.#isAbandoned) {
      try {
        const response = await fetch(`${this.#url}${path}`, {
          method: "POST",
          headers: { "content-type": "application/json", ...headers },
          body: JSON.stringify(body),
        });
        const text = await response.text();
        if (response.ok) {
          this.answers++;
          return JSON.parse(text) as T;
        }
        const { code, retriable, detail } = JSON.parse(text) as Refused;
        if (!retriable) {
          this.findings.push(`${path}: ${code}: ${detail}`);
          return null;
        }
      } catch (error) {
        // There is no broker at the moment, or it went away before it had answered.
        if (!(error instanceof TypeError) && !(error instanceof SyntaxError)) throw error;
      }
      await setTimeout(RETRY_MS);
    }
    return null;
  }
}

export class KeyedProducer extends Repeater {
  readonly #history: HistoryWriter;
  readonly #who: string;
  readonly #path: string;
  #number = 0;

  constructor(url: string, folder: string, who: string, topic: string) {
    super(url);
    this.#history = new HistoryWriter(folder, who);
    this.#who = who;
    this.#path = `/v1/topics/${topic}/records`;
  }

  protected async turn(): Promise<void> {
    const first = this.#number;
    const count = 3;
    this.#number += count;
    const records = Array.from({ length: count }, (_, i) => ({
      key: `${first + i}`,
      value: `${this.#who}-${first + i}`,
    }));
    this.#history.write({ e: "send", first, count });
    const headers = { "idempotency-key": `${this.#who}-${first}` };
    const answer = await this.insist<{ results: { partition: number; offset: number }[] }>(
      this.#path,
      { records },
      headers,
    );
    if (answer === null) return;
    const outcomes = answer.results.map(({ partition, offset }): Place => [partition, offset]);
    this.#history.write({ e: "sent", first, outcomes });
  }
}

interface Polled {
  readonly records: readonly {
    readonly topic: string;
    readonly partition: number;
    readonly offset: number;
  }[];
}

export class Poller extends Repeater {
  readonly #path: string;
  readonly #body: object;
  /** By partition, the offset before which everything was handled. */
  readonly handled = new Map<number, number>();
  #ack: object[] = [];

  constructor(url: string, group: string, body: object) {
    super(url);
    this.#path = `/v1/groups/${group}/poll`;
    this.#body = body;
  }

  protected async turn(): Promise<void> {
    const body = { ...this.#body, ack: this.#ack, maxRecords: 1_000 };
    const polled = await this.insist<Polled>(this.#path, body);
    if (polled === null) return;
    const last = new Map<number, object>();
    for (const { topic, partition, offset } of polled.records) {
      const next = this.handled.get(partition) ?? 0;
      if (offset > next) this.findings.push(`${partition}/${offset} was polled before ${next}`);
      this.handled.set(partition, Math.max(next, offset + 1));
      last.set(partition, { topic, partition, offset });
    }
    this.#ack = [...last.values()];
  }
}
