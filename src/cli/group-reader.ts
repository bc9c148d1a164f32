// Reads as a member of a group. A member with an end reads what each of its partitions holds when it is assigned.
import { FAN_OUT } from "../core/limits.ts";
import { mapConcurrently } from "../core/map-concurrently.ts";
import { groupPath } from "../protocol/paths.ts";
import type { Consumer } from "../sdk/consumer.ts";
import {
  BrokerError,
  ConnectionError,
  type ConsumerOptions,
  type GroupInfo,
  type PartitionPosition,
  type Rivulet,
  type TopicPartition,
} from "../sdk/index.ts";
import { listed } from "./answer.ts";
import type { GlobalOptions } from "./context.ts";
import { httpOf } from "./http.ts";
import type { FixedPosition, Position } from "./position.ts";
import { endOf, offsetAt } from "./reader.ts";
import { keyOf, Unread } from "./unread.ts";

export interface MemberOptions extends Omit<ConsumerOptions, "from"> {
  /** The start where the group has committed nothing. */
  readonly from: Exclude<Position, { readonly number: number }>;
  /** The positions before which it stops in each partition. None reads on. */
  readonly ends: readonly FixedPosition[];
}

/** The group's own start position, which counts before that of a member. */
const START_CONFIG = "consumer.auto.offset.reset";

export class GroupReader {
  readonly consumer: Consumer;
  /** The offsets to read in the partitions that the member has. Null if it reads on. */
  readonly unread: Unread | null;
  readonly #rivulet: Rivulet;
  readonly #global: GlobalOptions;
  readonly #options: MemberOptions;
  /** The partitions that the member has. Each assignment has a mark of its own. */
  readonly #assigned = new Map<string, symbol>();
  /** The assigned partitions with known ends. */
  readonly #held = new Set<string>();

  constructor(rivulet: Rivulet, global: GlobalOptions, options: MemberOptions) {
    const { from, ends, ...rest } = options;
    this.#rivulet = rivulet;
    this.#global = global;
    this.#options = options;
    this.unread = ends.length === 0 ? null : new Unread();
    this.consumer = rivulet.consumer({
      ...rest,
      from: "at" in from ? from.at : "agoMs" in from ? { duration: from.agoMs } : "earliest",
      onAssigned: async (partitions) => {
        options.onAssigned?.(partitions);
        await this.#begin(partitions);
      },
      onRevoked: (partitions) => {
        this.#release(partitions);
        return options.onRevoked?.(partitions);
      },
      onLost: (partitions) => {
        this.#release(partitions);
        return options.onLost?.(partitions);
      },
    });
  }

  /**
   * True once the member has every partition that the group means it to have. Before that, others may still have to give
   * some up. It wakes the group, and no partition.
   */
  async isAssigned(): Promise<boolean> {
    const { groupId } = this.#options;
    try {
      const path = `${groupPath(groupId)}?lag=told`;
      const { state, members } = await httpOf(this.#global).request<GroupInfo>("GET", path);
      const own = members.find(({ memberId }) => memberId === this.consumer.memberId);
      if (own === undefined || state === "ASSIGNING") return false;
      return [...(own.assignment ?? []), ...(own.target ?? [])].every(({ topic, partitions }) =>
        partitions.every((partition) => this.#held.has(keyOf({ topic, partition }))),
      );
    } catch (error) {
      const mayPass = error instanceof ConnectionError || (error as BrokerError).retriable === true;
      const isMissing = error instanceof BrokerError && error.code === "GROUP_ID_NOT_FOUND";
      if (mayPass || isMissing) return false; // It is asked again soon.
      throw error;
    }
  }

  /** Moves new partitions to where reading starts, and finds out where it ends. */
  async #begin(partitions: readonly PartitionPosition[]): Promise<void> {
    const { from, ends } = this.#options;
    const { admin } = this.#rivulet;
    const assignment = Symbol("assignment");
    for (const place of partitions) this.#assigned.set(keyOf(place), assignment);
    const fresh = "atMs" in from ? await this.#uncommitted(partitions) : new Set<string>();
    await mapConcurrently(partitions, FAN_OUT, async ({ topic, partition, offset }) => {
      const place = { topic, partition };
      let next = offset;
      if ("atMs" in from && fresh.has(keyOf(place))) {
        next = await offsetAt(admin, place, from);
        this.consumer.seek(place, next);
      }
      if (this.unread === null) return;
      const end = await endOf(admin, place, ends);
      if (this.#assigned.get(keyOf(place)) !== assignment) return; // It was taken away before this was known.
      this.#held.add(keyOf(place));
      if (!this.unread.add(place, next, end)) this.consumer.pause(place);
    });
  }

  /** Returns the partitions in which the group has committed nothing, and whose start its config leaves to the member. */
  async #uncommitted(partitions: readonly TopicPartition[]): Promise<Set<string>> {
    const { groupId } = this.#options;
    const { overrides = {} } = await this.#rivulet.admin.groupConfig(groupId);
    const set = overrides[START_CONFIG];
    if (set !== undefined && set !== "member") return new Set();
    const path = `${groupPath(groupId)}/offsets`;
    const { offsets } = await httpOf(this.#global).request<{ offsets: TopicPartition[] }>(
      "GET",
      path,
    );
    const committed = new Set(listed(offsets, "offsets").map(keyOf));
    return new Set(partitions.map(keyOf).filter((key) => !committed.has(key)));
  }

  #release(partitions: readonly TopicPartition[]): void {
    for (const place of partitions) {
      this.#assigned.delete(keyOf(place));
      this.#held.delete(keyOf(place));
      this.unread?.remove(place);
    }
  }
}
