// Which API keys have changed lately. Workers ask for that, in the place of each key that they know. It is forgotten with
// the object, and Workers that knew a version of an earlier life ask for their keys anew.
import { MAX_KEY_CHANGES } from "../../src/core/limits.ts";

export class KeyChanges {
  readonly #life = crypto.randomUUID();
  /** The ids that have changed, the oldest first. */
  readonly #changed: string[] = [];
  /** The number of changes that are not kept any more. */
  #forgotten = 0;

  get version(): string {
    return `${this.#life}/${this.#forgotten + this.#changed.length}`;
  }

  note(id: string): void {
    this.#changed.push(id);
    if (this.#changed.length <= MAX_KEY_CHANGES) return;
    this.#changed.shift();
    this.#forgotten++;
  }

  /** Returns the ids that have changed since the version, or null if that is not known. */
  since(version: string): readonly string[] | null {
    const [life, count = ""] = version.split("/");
    const from = Number(count) - this.#forgotten;
    const isKnown = life === this.#life && from >= 0 && from <= this.#changed.length;
    return isKnown ? [...new Set(this.#changed.slice(from))] : null;
  }
}
