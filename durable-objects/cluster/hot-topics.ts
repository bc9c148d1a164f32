// The topics that Workers have asked for last. An isolate that knows none is told all of them with its first answer, because
// after a deploy all isolates begin anew at once.
import type { UsedTopic } from "../../src/calls/cluster-calls.ts";
import { MAX_HOT_PARTITIONS, MAX_HOT_TOPICS } from "../../src/core/limits.ts";

export class HotTopics {
  /** By name. The one that was asked for last comes last. */
  readonly #topics = new Map<string, UsedTopic>();

  /** Notes that a topic was asked for. */
  note(asked: UsedTopic): void {
    const { name } = asked.topic;
    this.#topics.delete(name);
    this.#topics.set(name, asked);
    const oldest = this.#topics.keys().next().value;
    if (this.#topics.size > MAX_HOT_TOPICS && oldest !== undefined) this.#topics.delete(oldest);
  }

  /** Called when a topic, its config or what is used of it has changed. It is hot again when it is asked for. */
  forget(name: string): void {
    this.#topics.delete(name);
  }

  /** Called when the config of all topics has changed. */
  clear(): void {
    this.#topics.clear();
  }

  /** Returns those that were asked for last, as far as the answer stays small. */
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
