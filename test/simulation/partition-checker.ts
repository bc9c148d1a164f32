// Checks what every partition object does to its sockets: who is fed, from where, and how much (DESIGN invariants 3, 4 and
// 9). It reads only the outgoing frames.
import type { batches as readBatches } from "../../src/core/log/record-batch.ts";
import type { History } from "./history.ts";
import type { SimulatedObject } from "./object.ts";
import type { Endpoint, Frame } from "./sockets.ts";

interface Owner {
  readonly group: string;
  readonly incarnation: number;
  readonly memberEpoch: number;
  readonly memberNumber: number;
}

interface Attach {
  readonly attachId: number;
  readonly windowBytes: number;
  readonly owner?: Owner;
}

interface Reader {
  /** Requested and not yet answered. */
  asked: Attach[];
  attached: Attach | null;
  expected: number;
  /** Sent and not returned, by all attaches of the socket. */
  inFlight: number;
}

export class PartitionChecker {
  readonly #history: History;
  readonly #batches: typeof readBatches;
  readonly #readers = new Map<Endpoint, Reader>();
  /** By partition and group: the newest owner that got `attached`. */
  readonly #newest = new Map<string, Owner>();

  readonly #processes = new Map<string, string>();

  constructor(history: History, batches: typeof readBatches) {
    this.#history = history;
    this.#batches = batches;
  }

  #reader(endpoint: Endpoint): Reader {
    let reader = this.#readers.get(endpoint);
    if (reader === undefined) {
      reader = { asked: [], attached: null, expected: 0, inFlight: 0 };
      this.#readers.set(endpoint, reader);
    }
    return reader;
  }

  received(endpoint: Endpoint, frame: Frame): void {
    if (frame.type !== "data" || typeof frame.data !== "string" || !frame.data.startsWith("{"))
      return;
    const message = JSON.parse(frame.data) as { type: string; bytes?: number } & Attach;
    const reader = this.#reader(endpoint);
    if (message.type === "attach") reader.asked.push(message);
    else if (message.type === "window" && message.attachId === reader.attached?.attachId)
      reader.inFlight = Math.max(0, reader.inFlight - (message.bytes ?? 0));
  }

  sent(object: SimulatedObject, endpoint: Endpoint, data: string | Uint8Array): void {
    const reader = this.#reader(endpoint);
    if (typeof data === "string") this.#answered(object, endpoint, reader, data);
    else this.#fed(object, reader, data);
  }

  #answered(object: SimulatedObject, endpoint: Endpoint, reader: Reader, text: string): void {
    const message = JSON.parse(text) as { type: string; attachId: number; offset: number };
    if (message.type !== "attached") return;
    const attach = reader.asked.find(({ attachId }) => attachId === message.attachId);
    if (attach === undefined) {
      this.#history.find(`${object.name} answered an attach that nobody asked for: ${text}`);
      return;
    }
    reader.attached = attach;
    reader.expected = message.offset;
    const { owner } = attach;
    if (owner === undefined) return;
    const newest = this.#newest.get(`${object.name} ${owner.group}`);
    if (newest !== undefined && isOlder(owner, newest))
      this.#history.find(`${object.name} let ${told(owner)} attach after ${told(newest)}`);
    this.#newest.set(`${object.name} ${owner.group}`, owner);
    // A member is one process, or one session in a Worker.
    const process = endpoint.peer?.actor.name ?? "nobody";
    const token = `${object.name} ${told(owner)}`;
    const other = this.#processes.get(token) ?? process;
    if (other !== process)
      this.#history.find(`${object.name} let ${process} attach as ${told(owner)}, who is ${other}`);
    this.#processes.set(token, process);
  }

  #fed(object: SimulatedObject, reader: Reader, frame: Uint8Array): void {
    const { attached } = reader;
    if (attached === null) {
      this.#history.find(`${object.name} sent records over a socket that is not attached`);
      return;
    }
    const { owner, windowBytes } = attached;
    const newest = owner && this.#newest.get(`${object.name} ${owner.group}`);
    if (owner !== undefined && newest !== undefined && isOlder(owner, newest))
      this.#history.find(
        `${object.name} sent records to ${told(owner)}, fenced by ${told(newest)}`,
      );
    let last = 0;
    for (const { header } of this.#batches(frame)) {
      const end = header.baseOffset + header.lastOffsetDelta + 1;
      const isFirst = last === 0;
      const isNext = isFirst
        ? header.baseOffset <= reader.expected && end > reader.expected
        : header.baseOffset === reader.expected;
      if (!isNext)
        this.#history.find(
          `${object.name} sent a batch at ${header.baseOffset}, the reader stands at ${reader.expected}`,
        );
      reader.expected = end;
      last = header.sizeInBytes;
    }
    reader.inFlight += frame.length;
    if (reader.inFlight - last >= windowBytes)
      this.#history.find(
        `${object.name} has ${reader.inFlight} bytes in flight, the window is ${windowBytes}`,
      );
  }
}

function isOlder(a: Owner, b: Owner): boolean {
  const order =
    a.incarnation - b.incarnation ||
    a.memberEpoch - b.memberEpoch ||
    a.memberNumber - b.memberNumber;
  return order < 0;
}

function told({ group, incarnation, memberEpoch, memberNumber }: Owner): string {
  return `${group}'s member ${memberNumber} at epoch ${memberEpoch} (${incarnation})`;
}
