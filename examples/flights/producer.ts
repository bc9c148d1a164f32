// Sends the flights, keyed by origin airport, a few hundred at a time as a live feed would.
import { setTimeout as pause } from "node:timers/promises";
import { Rivulet } from "../../src/sdk/index.ts";
import { readFlights, TOPIC } from "./flight.ts";

const BATCH = 250;
const PAUSE_MS = 100;

const { producer } = new Rivulet({ url: process.env.RIVULET_URL ?? "http://127.0.0.1:8787" });
const flights = readFlights();
for (let start = 0; start < flights.length; start += BATCH) {
  const records = flights
    .slice(start, start + BATCH)
    .map((flight) => ({ key: flight.origin, value: flight }));
  const outcomes = await producer.send(TOPIC, records);
  for (const outcome of outcomes) if ("error" in outcome) throw new Error(outcome.error.detail);
  await pause(PAUSE_MS);
}
