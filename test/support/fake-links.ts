import type { OwnerToken } from "../../src/core/log/fences.ts";
import type { ConsumerCoreConfig } from "../../src/member/consumer-core.ts";
import type { CoordinatorMessage, MemberMessage } from "../../src/protocol/group-socket.ts";
import type { PartitionMessage, ReaderMessage } from "../../src/protocol/partition-socket.ts";
import { ConsumerHarness } from "./consumer-harness.ts";
import type { Place } from "./places.ts";

export type ToBroker =
  | { readonly type: "frame"; readonly message: MemberMessage | ReaderMessage }
  | { readonly type: "ping" }
  | { readonly type: "close"; readonly code: number };
export type ToClient =
  | { readonly type: "frame"; readonly message: CoordinatorMessage | PartitionMessage }
  | { readonly type: "bytes"; readonly bytes: Uint8Array }
  | { readonly type: "pong" }
  | { readonly type: "close"; readonly code: number; readonly reason: string };

/** One socket: both ends and the messages in flight. */
export interface Link {
  readonly client: Client;
  readonly connection: number;
  readonly place: Place | null;
  isOpen: boolean;
  /** Nothing arrives any more, and neither end is told. */
  isDead: boolean;
  readonly up: ToBroker[];
  readonly down: ToClient[];
  /** The broker's end: the member that joined over it, or where it reads. */
  memberId: string | null;
  reader: { attachId: number; next: number; window: number; owner: OwnerToken } | null;
}

/** A consumer and a slow application. */
export class Client {
  readonly harness: ConsumerHarness;
  /** Delivered and not processed. */
  readonly queues = new Map<Place, { offset: number; attachId: number }[]>();
  readonly paused = new Set<Place>();
  /** Until then it cannot reach the broker. */
  awayUntilMs = 0;
  seen = 0;

  constructor(config: Partial<ConsumerCoreConfig>) {
    this.harness = new ConsumerHarness(config);
  }
}

export function isClosedByClient(link: Link): boolean {
  return link.up.some(({ type }) => type === "close");
}
