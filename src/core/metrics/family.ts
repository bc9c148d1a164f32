// A metric family as Prometheus scrapes it, independent of the format.

export type FamilyType = "counter" | "gauge" | "histogram" | "info";

export interface Sample {
  /** The values are not escaped here: the encoder does that. */
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface HistogramSample {
  readonly labels: Readonly<Record<string, string>>;
  /** The number of values in each bucket, not cumulative. The last bucket is above all bounds. */
  readonly counts: readonly number[];
  readonly sum: number;
}

interface About {
  /** The name without a suffix: `rivulet_records_appended`, not `rivulet_records_appended_total`. */
  readonly name: string;
  readonly help: string;
  /** The unit at the end of the name, if any: seconds, bytes. */
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
