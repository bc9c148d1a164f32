// An order, as `POST /orders` takes it and as the topic stores it.
import { BadRecord } from "./failed.ts";

export interface Order {
  readonly customer: string;
  readonly total: number;
}

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false });

/** Returns the order in a record's value. @throws BadRecord if the value is not an order */
export function orderOf(value: string | Uint8Array | null): Order {
  let parsed: unknown;
  try {
    parsed = JSON.parse(value instanceof Uint8Array ? UTF8.decode(value) : (value ?? "null"));
  } catch (error) {
    throw new BadRecord(`the value is not JSON: ${error instanceof Error ? error.message : error}`);
  }
  if (!isOrder(parsed)) throw new BadRecord("the value is not an order");
  return parsed;
}

export function isOrder(value: unknown): value is Order {
  const { customer, total } = Object(value) as Partial<Order>;
  return typeof customer === "string" && typeof total === "number";
}
