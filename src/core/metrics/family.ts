// A family of metrics, as Prometheus scrapes it, whatever the format.

export type FamilyType = "counter" | "gauge" | "histogram" | "info";

export interface Sample {
  /** Sent as it is: the encoder escapes it. */
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface HistogramSample {
  readonly labels: Readonly<Record<string, string>>;
  /** Counts of the values up to each bound, not cumulative. The last is of those above all bounds. */
  readonly counts: readonly number[];
  readonly sum: number;
}

interface About {
  /** Without a suffix: `rivulet_records_appended`, not `rivulet_records_appended_total`. */
  readonly name: string;
  readonly help: string;
  /** The unit that the name ends with, if any: seconds, bytes. */
  readonly unit?: string;
}

export interface SimpleFamily extends About {
  readonly type: Exclude<FamilyType, "histogram">;
  readonly samples: readonly Sample[];
}

export interface HistogramFamily extends About {
  readonly type: "histogram";
  /** Upper bounds, ascending, without +Inf. */
  readonly bounds: readonly number[];
  readonly samples: readonly HistogramSample[];
}

export type Family = SimpleFamily | HistogramFamily;
