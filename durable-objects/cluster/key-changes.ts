// The API keys that have changed lately. Workers ask for these changes instead of asking for each key that they
// know. The changes are lost with the object; Workers that know a version of an earlier life then ask for their
// keys anew.
import { MAX_KEY_CHANGES } from "../../src/core/limits.ts";

export class KeyChanges {
  readonly #life = crypto.randomUUID();
  /** The ids of changed keys, oldest first. */
  readonly #changed: string[] = [];
  /** The number of changes that are no longer kept. */
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
