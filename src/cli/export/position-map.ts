// Maps committed offsets to an imported log. That log begins at 0 and has no gaps, so records get other offsets if the
// exported log began later or was compacted. A committed offset is that of the first record that the group has not done.
// It becomes the number of records before that record.
import type { GroupPositions } from "./content.ts";

export interface MappedPosition {
  readonly partition: number;
  /** The committed offset in the exported log. */
  readonly from: number;
  /** The offset of the same record in the imported log. */
  readonly offset: number;
}

interface Pending {
  readonly group: string;
  readonly offset: number;
}

export class PositionMap {
  /** The positions to map by partition, the lowest last. */
  readonly #pending = new Map<number, Pending[]>();
  readonly #mapped = new Map<string, MappedPosition[]>();
  #isSorted = false;

  add({ group, offsets }: GroupPositions): void {
    if (!this.#mapped.has(group)) this.#mapped.set(group, []);
    for (const { partition, offset } of offsets) {
      const pending = this.#pending.get(partition);
      if (pending === undefined) this.#pending.set(partition, [{ group, offset }]);
      else pending.push({ group, offset });
    }
  }

  /** The lowest position in the partition that is not mapped yet. Infinity if there is none. */
  next(partition: number): number {
    this.#sort();
    return this.#pending.get(partition)?.at(-1)?.offset ?? Number.POSITIVE_INFINITY;
  }

  /** Maps the positions up to and including `offset`, which have so many records before them. */
  pass(partition: number, offset: number, recordsBefore: number): void {
    const pending = this.#pending.get(partition) ?? [];
    while (this.next(partition) <= offset) {
      const { group, offset: from } = pending.pop() as Pending;
      this.#mapped.get(group)?.push({ partition, from, offset: recordsBefore });
    }
  }

  /** Returns the positions of each group. Call it after the last record. */
  groups(): { readonly group: string; readonly positions: readonly MappedPosition[] }[] {
    return Array.from(this.#mapped, ([group, positions]) => ({
      group,
      positions: positions.toSorted((a, b) => a.partition - b.partition),
    }));
  }

  #sort(): void {
    if (this.#isSorted) return;
    for (const pending of this.#pending.values()) pending.sort((a, b) => b.offset - a.offset);
    this.#isSorted = true;
  }
}
