// The calls that a RelayObject answers. The names are on the wire: see calls.ts.
import type { Bounds } from "./partition-calls.ts";

/** The batches that a partition has appended since the push before, or as many as fit. */
export interface Push extends Bounds {
  /** The name of the topic, by which its readers' rights are judged. */
  readonly topic: string;
  /** Where the batches begin. They are all that is in the log from there up to `nextOffset`. */
  readonly from: number;
  readonly nextOffset: number;
  /** Whole record batches, one after another. Empty if the partition only wants to be sure. */
  readonly batches: Uint8Array;
}

export interface RelayCalls {
  /**
   * [RLY-2] Passes batches on to the relay's readers. Pushes of a partition come one after another. Returns how many
   * readers the relay has. If there are none, it is pushed nothing more.
   */
  push(request: Push): Promise<{ readers: number }>;

  /** [ACL-8] Closes the sockets that were opened with this API key. Called by the partition. */
  revokeKey(request: { keyId: string }): Promise<void>;

  /** [CLU-4] The topic was deleted. Closes all sockets. Repeating the call is harmless. */
  end(): Promise<void>;
}

/** The fields of a call. */
export type RelayRequest<Method extends keyof RelayCalls> = Parameters<RelayCalls[Method]>[0];

/** [VER-10] The calls that do no harm if they run twice. The platform may repeat those whose answer was lost. */
export const RELAY_CALLS: Readonly<Record<keyof RelayCalls, boolean>> = {
  push: true,
  revokeKey: true,
  end: true,
};
