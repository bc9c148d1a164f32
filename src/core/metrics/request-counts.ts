// The request counts of one isolate.
import { DURATION_BUCKETS, type RequestCount, type WorkerSnapshot } from "./snapshot.ts";
import { NO_USAGE } from "./usage.ts";

/** The number of APIs and outcomes counted separately. There are a few hundred, so only a bug would make more. */
const MAX_COUNTS = 2_000;

interface Durations {
  readonly buckets: number[];
  sumSeconds: number;
}

export class RequestCounts {
  readonly #counts = new Map<string, { -readonly [K in keyof RequestCount]: RequestCount[K] }>();
  readonly #durations = new Map<string, Durations>();
  readonly #authFailures: Record<string, number> = {};
  readonly #throttled: Record<string, number> = {};
  #requests = 0;
  /** Identifies this life of the isolate. Null before the first report. */
  life: string | null = null;
  reportedMs = 0;

  /** `outcome` is NONE or the name of the error. Beyond MAX_COUNTS, new keys are not counted separately. */
  add(transport: RequestCount["transport"], api: string, outcome: string, tookMs: number): void {
    // A Kafka connection is one request of the Worker, whatever its number of messages.
    if (transport !== "kafka") this.#requests++;
    const key = `${transport} ${api} ${outcome}`;
    const known = this.#counts.get(key);
    if (known !== undefined) known.count++;
    else if (this.#counts.size < MAX_COUNTS)
      this.#counts.set(key, { transport, api, outcome, count: 1 });
    this.#addDuration(api, Math.max(0, tookMs) / 1_000); // The clock may have been set back.
    if (outcome === "THROTTLING_QUOTA_EXCEEDED") increase(this.#throttled, transport);
    if (outcome === "SASL_AUTHENTICATION_FAILED") increase(this.#authFailures, transport);
  }

  #addDuration(api: string, seconds: number): void {
    const known = this.#durations.get(api);
    if (known === undefined && this.#durations.size >= MAX_COUNTS) return;
    const durations = known ?? {
      buckets: new Array<number>(DURATION_BUCKETS.length + 1).fill(0),
      sumSeconds: 0,
    };
    const bucket = DURATION_BUCKETS.findIndex((bound) => seconds <= bound);
    const at = bucket === -1 ? DURATION_BUCKETS.length : bucket;
    durations.buckets[at] = (durations.buckets[at] ?? 0) + 1;
    durations.sumSeconds += seconds;
    this.#durations.set(api, durations);
  }

  /** `kafkaConnections` is their current number. */
  snapshot(life: string, kafkaConnections: number, inFlightBytes: number): WorkerSnapshot {
    return {
      ...{ kind: "worker", life, storedBytes: 0 },
      usage: { ...NO_USAGE, requests: this.#requests },
      requests: [...this.#counts.values()],
      durations: Object.fromEntries(this.#durations),
      ...{ kafkaConnections, inFlightBytes },
      ...{ authFailures: this.#authFailures, throttled: this.#throttled },
    };
  }
}

function increase(counts: Record<string, number>, name: string): void {
  counts[name] = (counts[name] ?? 0) + 1;
}
