// The totals that a group has handled, each offset counted once, and how they compare with the file.
import { type AirportTotal, addFlight, type ConsumerReport, type Flight } from "./flight.ts";

export class Tally {
  readonly totals = new Map<string, AirportTotal>();
  /** Records that came again after their consumer died before committing them: at least once, never lost. */
  repeated = 0;
  readonly #seen = new Set<string>();

  get count(): number {
    return this.#seen.size;
  }

  add(batch: Extract<ConsumerReport, { type: "batch" }>): void {
    for (const [offset, origin, delay] of batch.flights) {
      const place = `${batch.partition}/${offset}`;
      if (this.#seen.has(place)) {
        this.repeated++;
        continue;
      }
      this.#seen.add(place);
      addFlight(this.totals, origin, delay);
    }
  }

  /** The differences from the totals computed straight from the file; empty if there are none. */
  differences(flights: readonly Flight[]): string[] {
    const expected = new Map<string, AirportTotal>();
    for (const { origin, delay } of flights) addFlight(expected, origin, delay);
    const differences: string[] = [];
    for (const origin of new Set([...expected.keys(), ...this.totals.keys()])) {
      const want = expected.get(origin);
      const got = this.totals.get(origin);
      if (want?.flights === got?.flights && want?.delay === got?.delay) continue;
      differences.push(`${origin}: expected ${JSON.stringify(want)}, got ${JSON.stringify(got)}`);
    }
    return differences;
  }
}
