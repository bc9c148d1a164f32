// The messages between the demo's processes, and the data that they work on.
import { readFileSync } from "node:fs";

export const TOPIC = "flights";
export const PARTITIONS = 12;

export interface Flight {
  readonly origin: string;
  /** Minutes; negative is early. */
  readonly delay: number;
}

/** A line on a consumer's standard output. */
export type ConsumerReport =
  | { readonly type: "assigned" | "revoked" | "lost"; readonly partitions: readonly number[] }
  | {
      readonly type: "batch";
      readonly partition: number;
      readonly flights: readonly (readonly [offset: number, origin: string, delay: number])[];
    };

/** 20,000 flights of the United States in 2001, from the package vega-datasets. */
export function readFlights(): Flight[] {
  const path = new URL("../../node_modules/vega-datasets/data/flights-20k.json", import.meta.url);
  return JSON.parse(readFileSync(path, "utf8")) as Flight[];
}

export interface AirportTotal {
  flights: number;
  delay: number;
}

export function addFlight(totals: Map<string, AirportTotal>, origin: string, delay: number): void {
  const total = totals.get(origin) ?? { flights: 0, delay: 0 };
  total.flights++;
  total.delay += delay;
  totals.set(origin, total);
}
