// The names of topics that match a pattern. After a deploy thousands of groups join anew with few patterns, so the answer
// is remembered until a topic comes or goes.
import { beginningOfNames, subscribes } from "../../src/core/group/topic-pattern.ts";

/** Patterns whose matches are remembered. */
const MAX_PATTERNS = 100;

export class PatternMatches {
  readonly #matches = new Map<string, readonly string[]>();

  /** Returns the names that match. `names` returns those that begin with a text. */
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

  /** Called when a topic has come or gone. */
  forget(): void {
    this.#matches.clear();
  }
}
