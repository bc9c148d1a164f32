// Reads topics, or one partition, without a group, from any position.
import { FAN_OUT } from "../core/limits.ts";
import { mapConcurrently } from "../core/map-concurrently.ts";
import { followingTransport } from "../member/following-socket.ts";
import type { ReaderPlace } from "../member/places.ts";
import type { Transport } from "../member/transport.ts";
import { socketProtocols } from "../protocol/paths.ts";
import { Consumer } from "../sdk/consumer.ts";
import type { Admin, ConsumerOptions, TopicInfo, TopicPartition } from "../sdk/index.ts";
import { tokenTransport } from "../sdk/token.ts";
import { networkTransport, type WebSocketConstructor } from "../sdk/transport/network.ts";
import { whole } from "./answer.ts";
import { type GlobalOptions, UsageError } from "./context.ts";
import type { FixedPosition } from "./position.ts";
import { keyOf, Unread } from "./unread.ts";

export interface ReaderOptions {
  readonly topics: readonly TopicInfo[];
  /** The only partition that is read, or null for all. */
  readonly partition: number | null;
  readonly from: FixedPosition;
  /** The positions before which it stops. Each partition stops at the first of them. None reads on. */
  readonly ends: readonly FixedPosition[];
  readonly callbacks: Pick<ConsumerOptions, "onAssigned" | "onError">;
}

export interface Reader {
  readonly consumer: Consumer;
  /** The offsets to read, or null if it reads on. */
  readonly unread: Unread | null;
}

/** The interval at which it asks if a topic has more partitions. */
const LOOK_AGAIN_MS = 15_000;

/** Returns null if there is nothing to read. */
export async function openReader(
  global: GlobalOptions,
  admin: Admin,
  { topics, partition, from, ends, callbacks }: ReaderOptions,
): Promise<Reader | null> {
  const places = topics.flatMap((topic) => placesOf(topic, partition));
  const unread = ends.length === 0 ? null : new Unread();
  const isPlain = unread === null && "at" in from; // The broker finds such a start by itself.
  const placed = isPlain
    ? places
    : await mapConcurrently(places, FAN_OUT, async (place): Promise<ReaderPlace> => {
        const offset = await startOf(admin, place, from);
        if (unread !== null) unread.add(place, offset, await endOf(admin, place, ends));
        return { ...place, offset };
      });
  const wanted = placed.filter((place) => unread?.includes(place, place.offset ?? 0) ?? true);
  if (wanted.length === 0) return null;
  const consumer = new Consumer(transportOf(global), {
    ...callbacks,
    from: "at" in from ? from.at : "earliest",
    groupId: null,
    topics: topics.map(({ name }) => name),
    partitions: wanted,
  });
  if (unread === null && partition === null) addGrown(consumer, admin, topics);
  return { consumer, unread };
}

function placesOf({ name, topicId, partitions }: TopicInfo, only: number | null): ReaderPlace[] {
  if (only !== null && only >= partitions)
    throw new UsageError(
      `--partition is ${only}, ${name} has ${partitions === 1 ? "only partition 0" : `partitions 0 to ${partitions - 1}`}`,
    );
  const all = Array.from({ length: partitions }, (_, partition) => ({
    topic: name,
    topicId,
    partition,
  }));
  return only === null ? all : all.slice(only, only + 1);
}

/** @throws UsageError if the log does not hold the offset */
async function startOf(admin: Admin, place: TopicPartition, from: FixedPosition): Promise<number> {
  if (!("offset" in from)) return offsetAt(admin, place, from);
  const [start, end] = await Promise.all([
    offsetAt(admin, place, { at: "earliest" }),
    offsetAt(admin, place, { at: "latest" }),
  ]);
  const { offset } = from;
  if (offset >= start && offset <= end) return offset;
  const held = start === end ? "no records" : `offsets ${start} to ${end - 1}`;
  throw new UsageError(
    `--from is ${offset}, ${keyOf(place)} has ${held}; with --partition a whole number is an offset`,
  );
}

/** Returns the smallest offset of the ends. */
export async function endOf(
  admin: Admin,
  place: TopicPartition,
  ends: readonly FixedPosition[],
): Promise<number> {
  return Math.min(...(await Promise.all(ends.map((end) => offsetAt(admin, place, end)))));
}

/** Returns the offset of the first record at or after a time, of the log's start, or of its end. */
export async function offsetAt(
  admin: Admin,
  { topic, partition }: TopicPartition,
  position: FixedPosition,
): Promise<number> {
  if ("offset" in position) return position.offset;
  const at = "at" in position ? position.at : position.atMs;
  return whole(await admin.listOffset(topic, partition, at), "offset").offset;
}

/** [STR-7] Partitions that are added while it reads are read from their beginning. */
function addGrown(consumer: Consumer, admin: Admin, topics: readonly TopicInfo[]): void {
  const known = new Map(topics.map((topic) => [topic.topicId, topic.partitions]));
  const timer = setInterval(async () => {
    for (const { name, topicId } of topics) {
      const now = await admin.describeTopic(name).catch(() => null); // It is asked again soon.
      const before = known.get(topicId) ?? 0;
      if (now?.topicId !== topicId || now.partitions <= before) continue;
      known.set(topicId, now.partitions);
      const added = placesOf(now, null).slice(before);
      if (!consumer.add(added.map((place) => ({ ...place, offset: 0 })))) clearInterval(timer);
    }
  }, LOOK_AGAIN_MS).unref();
}

function transportOf({ url, token }: GlobalOptions): Transport {
  const { WebSocket: own } = globalThis as unknown as { readonly WebSocket: WebSocketConstructor };
  const transportWith = (protocols?: string[]) => networkTransport(url, own, protocols);
  return followingTransport(
    token === undefined
      ? transportWith()
      : tokenTransport(token, (value) => transportWith(socketProtocols(value))),
  );
}
