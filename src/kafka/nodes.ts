// The nodes as which this broker presents itself. There is one broker; clients open a connection to each node, so
// several nodes are several connections at work at once. Which node leads a partition and which coordinates a group is a
// matter of their names alone.

import { textHash } from "../core/text-hash.ts";

/** Where clients are told to connect: what the connection said, or the listener's own address. */
export interface Node {
  readonly nodeId: number;
  readonly host: string;
  readonly port: number;
}

export class Nodes {
  readonly all: readonly Node[];
  /** Which of them this connection is to; null where it did not say, and is taken for any. */
  readonly #own: number | null;

  /** @param addresses of each node, at least one */
  constructor(addresses: readonly { host: string; port: number }[], own: number | null) {
    this.all = addresses.map((address, nodeId) => ({ nodeId, ...address }));
    this.#own = own;
  }

  get controller(): Node {
    return this.#at(0);
  }

  leaderOf(topicId: string, partition: number): Node {
    return this.#at(textHash(topicId) + partition);
  }

  coordinatorOf(groupId: string): Node {
    return this.#at(textHash(groupId));
  }

  isOwn({ nodeId }: Node): boolean {
    return this.#own === null || this.#own === nodeId;
  }

  #at(number: number): Node {
    return this.all[number % this.all.length] as Node;
  }
}
