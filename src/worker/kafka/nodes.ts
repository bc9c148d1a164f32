// The nodes that this broker presents. There is one broker. Clients open a connection to each node, so several
// nodes mean several connections at work at once. The names of partitions and groups alone decide which node
// leads or coordinates them.

import { textHash } from "../../core/text-hash.ts";

/** The address of a node, where clients connect: stated by the connection, or the listener's own. */
export interface Node {
  readonly nodeId: number;
  readonly host: string;
  readonly port: number;
}

export class Nodes {
  readonly all: readonly Node[];
  /**
   * The index of the node that this connection goes to. Null if the connection did not name one; it then stands
   * for every node.
   */
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
