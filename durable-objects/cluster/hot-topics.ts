// The topics that Workers have requested most recently. An isolate that knows none gets all of them with its
// first answer, because after a deploy all isolates start with nothing.
import type { UsedTopic } from "../../src/calls/cluster-calls.ts";
import { MAX_HOT_PARTITIONS, MAX_HOT_TOPICS } from "../../src/core/limits.ts";

export class HotTopics {
  /** The topics by name. The most recently requested one comes last. */
  readonly #topics = new Map<string, UsedTopic>();

  /** Notes that a topic was requested. */
  note(asked: UsedTopic): void {
    const { name } = asked.topic;
    this.#topics.delete(name);
    this.#topics.set(name, asked);
    const oldest = this.#topics.keys().next().value;
    if (this.#topics.size > MAX_HOT_TOPICS && oldest !== undefined) this.#topics.delete(oldest);
  }

  /**
   * Called when a topic, its config or its used partitions have changed. The topic is hot again once it is
   * requested.
   */
  forget(name: string): void {
    this.#topics.delete(name);
  }

  /** Called when the config of all topics has changed. */
  clear(): void {
    this.#topics.clear();
  }

  /** Returns the most recently requested topics, as long as the answer stays small. */
  newest(): UsedTopic[] {
    const found: UsedTopic[] = [];
    let left = MAX_HOT_PARTITIONS;
    for (const each of [...this.#topics.values()].reverse()) {
      left -= 1 + (each.used?.length ?? 0);
      if (left < 0) break;
      found.push(each);
    }
    return found;
  }
}
