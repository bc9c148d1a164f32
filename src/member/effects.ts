// The actions that the consumer core requests, and its messages to the application.
import { BrokerError, type ErrorName, type FailureData } from "../core/errors.ts";
import type { ConsumerRecord, TopicPartition } from "../core/record.ts";
import type { MemberMessage } from "../protocol/group-socket.ts";
import type { ReaderMessage } from "../protocol/partition-socket.ts";
import type { AssignedPlace, PartitionPosition } from "./places.ts";

/** The core numbers its sockets. Events with a number that it no longer uses are ignored. */
export type ConsumerEffect =
  | { readonly type: "open-group"; readonly connection: number }
  | (AssignedPlace & { readonly type: "open-partition"; readonly connection: number })
  | {
      readonly type: "send";
      readonly connection: number;
      readonly message: MemberMessage | ReaderMessage;
    }
  | { readonly type: "ping"; readonly connection: number }
  | {
      readonly type: "close";
      readonly connection: number;
      readonly code: number;
      readonly reason: string;
    }
  | { readonly type: "assigned"; readonly partitions: readonly PartitionPosition[] }
  /** The partitions must be given up. Finish their records, then call `released` for each. */
  | { readonly type: "revoked"; readonly partitions: readonly TopicPartition[] }
  /** The partitions are already gone. Another member may own them, and commits would be refused. */
  | { readonly type: "lost"; readonly partitions: readonly TopicPartition[] }
  /** `attachId` is passed back with `processed`, so records delivered before a seek no longer count. */
  | (TopicPartition & {
      readonly type: "records";
      readonly attachId: number;
      readonly records: readonly ConsumerRecord[];
    })
  /** A fatal error is followed by `closed`. Other errors are worth a log line, and the core continues by itself. */
  | { readonly type: "error"; readonly error: BrokerError; readonly isFatal: boolean }
  | { readonly type: "closed" };

/** Collects the effects of the core's parts, in the order in which they must happen. */
export class Outbox {
  #effects: ConsumerEffect[] = [];
  #nextConnection = 1;

  take(): readonly ConsumerEffect[] {
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  emit(effect: ConsumerEffect): void {
    this.#effects.push(effect);
  }

  /** Returns a number for a new socket. */
  newConnection(): number {
    return this.#nextConnection++;
  }

  /** Sends the message, unless there is no socket now. */
  send(connection: number | null, message: MemberMessage | ReaderMessage): void {
    if (connection !== null) this.emit({ type: "send", connection, message });
  }

  warn(code: ErrorName, detail: string, data?: FailureData): void {
    this.emit({ type: "error", error: new BrokerError(code, detail, { data }), isFatal: false });
  }
}

/** The time of an event that will not happen. */
export const NEVER_MS = Number.POSITIVE_INFINITY;
