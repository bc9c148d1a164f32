// The producers' results against the content of the logs.
import type { Findings } from "./findings.ts";
import type { Event, Place } from "./history.ts";

/** A partition's log as it was read at the end. */
export interface PartitionLog {
  readonly offsets: readonly number[];
  readonly ids: readonly string[];
}

/** By topic, then partition. */
export type Logs = Readonly<Record<string, readonly PartitionLog[]>>;

/** After these errors nobody knows whether the record is stored. Any other says that it is not. */
const UNKNOWN_OUTCOMES: ReadonlySet<string> = new Set(["ConnectionError", "REQUEST_TIMED_OUT"]);

export class LogCheck {
  readonly #findings: Findings;
  readonly #byId: ReadonlyMap<string, Place>;
  /** The number of records that each producer has sent so far. */
  readonly #sent = new Map<string, number>();
  readonly #acked = new Set<string>();
  unknown = 0;
  sends = 0;

  constructor(logs: Logs, findings: Findings) {
    this.#findings = findings;
    this.#byId = index(logs, findings);
  }

  get acked(): number {
    return this.#acked.size;
  }

  onEvent(event: Event): void {
    if (event.e === "send") {
      this.sends++;
      this.#sent.set(event.who, event.first + event.count);
    } else if (event.e === "sent") {
      for (const [i, outcome] of event.outcomes.entries())
        this.#onOutcome(`${event.who}-${event.first + i}`, outcome);
    }
  }

  #onOutcome(id: string, outcome: Place | string): void {
    const stored = this.#byId.get(id);
    if (typeof outcome !== "string") {
      this.#acked.add(id);
      if (stored?.[0] === outcome[0] && stored[1] === outcome[1]) return;
      const found = stored === undefined ? "nowhere" : `at ${stored.join("/")}`;
      this.#findings.add("lost write", `${id}: acknowledged at ${outcome.join("/")}, is ${found}`);
    } else if (UNKNOWN_OUTCOMES.has(outcome)) {
      this.unknown++;
    } else if (stored !== undefined) {
      const detail = `${id}: refused with ${outcome}, is at ${stored.join("/")}`;
      this.#findings.add("stored though refused", detail);
    }
  }

  /** After the last event. */
  finish(logs: Logs): void {
    for (const [topic, partitions] of Object.entries(logs)) {
      for (const [partition, { ids }] of partitions.entries()) {
        const newest = new Map<string, number>();
        for (const [place, id] of ids.entries()) {
          const at = `${topic} ${partition}/${place}`;
          const dash = id.lastIndexOf("-");
          const [who, number] = [id.slice(0, dash), Number(id.slice(dash + 1))];
          if (!(number < (this.#sent.get(who) ?? 0)))
            this.#findings.add("stored from nowhere", `${at}: nobody sent ${id}`);
          // An unacknowledged record may arrive at any time.
          if (!this.#acked.has(id)) continue;
          const before = newest.get(who) ?? -1;
          if (number < before)
            this.#findings.add("reordered", `${at}: ${id} stands behind ${who}-${before}`);
          newest.set(who, Math.max(number, before));
        }
      }
    }
  }
}

function index(logs: Logs, findings: Findings): Map<string, Place> {
  const byId = new Map<string, Place>();
  for (const [topic, partitions] of Object.entries(logs)) {
    for (const [partition, { offsets, ids }] of partitions.entries()) {
      for (const [place, id] of ids.entries()) {
        const offset = offsets[place] ?? -1;
        if (offset !== place)
          findings.add("offsets not dense", `${topic} ${partition}: ${offset} stands at ${place}`);
        const other = byId.get(id);
        if (other !== undefined)
          findings.add("duplicate", `${id}: at ${other.join("/")} and at ${partition}/${offset}`);
        else byId.set(id, [partition, offset]);
      }
    }
  }
  return byId;
}
