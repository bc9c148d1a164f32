// Bytes that came and are not answered yet, or were answered and not taken yet: of a connection, and of all connections of
// this isolate, which share its memory.
import { BrokerError } from "../core/errors.ts";
import {
  MAX_ALL_FEEDS_BYTES,
  MAX_FEEDS_BYTES,
  MAX_KAFKA_CONNECTIONS,
  MAX_KAFKA_IN_FLIGHT_BYTES,
  MAX_KAFKA_QUEUED_BYTES,
} from "../core/limits.ts";
import { isolate } from "../edge/isolate.ts";

export class InFlight {
  #bytes = 0;

  /** @throws BrokerError where there are too many connections. Whoever has one must close it. */
  constructor() {
    if (isolate.kafka.connections >= MAX_KAFKA_CONNECTIONS)
      throw new BrokerError(
        "THROTTLING_QUOTA_EXCEEDED",
        `there are ${MAX_KAFKA_CONNECTIONS} Kafka connections, the bound`,
      );
    isolate.kafka.connections++;
  }

  /** So many there are now. @throws BrokerError beyond a bound: the connection cannot go on. */
  set(bytes: number): void {
    isolate.kafka.bytes += bytes - this.#bytes;
    this.#bytes = bytes;
    check(bytes, MAX_KAFKA_QUEUED_BYTES, "of this connection");
    check(isolate.kafka.bytes, MAX_KAFKA_IN_FLIGHT_BYTES, "of all connections");
  }

  close(): void {
    isolate.kafka.bytes -= this.#bytes;
    this.#bytes = 0;
    isolate.kafka.connections--;
  }
}

/** Whether a connection whose feeds hold so much may take more. It always may take something, or it would never get on. */
export function hasRoomForFeed(heldBytes: number, bytes: number): boolean {
  if (heldBytes === 0) return true;
  return (
    heldBytes + bytes <= MAX_FEEDS_BYTES && isolate.kafka.fedBytes + bytes <= MAX_ALL_FEEDS_BYTES
  );
}

function check(bytes: number, bound: number, whose: string): void {
  if (bytes > bound)
    throw new BrokerError(
      "THROTTLING_QUOTA_EXCEEDED",
      `${bytes} bytes ${whose} wait for an answer, the bound is ${bound}`,
    );
}
