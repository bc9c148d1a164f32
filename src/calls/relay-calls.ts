// The calls that a RelayObject answers. The names are on the wire: see calls.ts.
import type { Bounds } from "./partition-calls.ts";

/** The batches that a partition has appended since the last push, or as many as fit. */
export interface Push extends Bounds {
  /** The name of the topic. The rights of its readers depend on it. */
  readonly topic: string;
  /** The start of the batches. They are everything in the log from there up to `nextOffset`. */
  readonly from: number;
  readonly nextOffset: number;
  /** Whole record batches, one after another. Empty if the partition only checks the relay. */
  readonly batches: Uint8Array;
}

export interface RelayCalls {
  /**
   * [RLY-2] Sends batches to the relay's readers. Pushes of a partition come one after another. Returns the relay's
   * number of readers. If it is 0, nothing more is pushed.
   */
  push(request: Push): Promise<{ readers: number }>;

  /** [ACL-8] Closes the sockets that were opened with this API key. Called by the partition. */
  revokeKey(request: { keyId: string }): Promise<void>;

  /** [CLU-4] Closes all sockets, because the topic was deleted. Repeating the call is harmless. */
  end(): Promise<void>;
}

/** The fields of a call. */
export type RelayRequest<Method extends keyof RelayCalls> = Parameters<RelayCalls[Method]>[0];

/** [VER-10] True for calls that may run twice without harm. The platform may repeat those whose answer was lost. */
export const RELAY_CALLS: Readonly<Record<keyof RelayCalls, boolean>> = {
  push: true,
  revokeKey: true,
  end: true,
};
