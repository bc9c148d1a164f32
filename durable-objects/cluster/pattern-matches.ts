// The names of topics that match a pattern. After a deploy thousands of groups join again with few patterns, so
// the matches are remembered until a topic is created or deleted.
import { beginningOfNames, subscribes } from "../../src/core/group/topic-pattern.ts";

/** The number of patterns whose matches are remembered. */
const MAX_PATTERNS = 100;

export class PatternMatches {
  readonly #matches = new Map<string, readonly string[]>();

  /** Returns the names that match. `names` returns the topic names with a given beginning. */
  of(pattern: string, names: (beginning: string) => readonly string[]): readonly string[] {
    const known = this.#matches.get(pattern);
    if (known !== undefined) return known;
    const subscription = { topics: [], topicPattern: pattern };
    const matching = names(beginningOfNames(pattern)).filter((name) =>
      subscribes(subscription, name),
    );
    if (this.#matches.size === MAX_PATTERNS) this.#matches.clear();
    this.#matches.set(pattern, matching);
    return matching;
  }

  /** Called when a topic is created or deleted. */
  forget(): void {
    this.#matches.clear();
  }
}
