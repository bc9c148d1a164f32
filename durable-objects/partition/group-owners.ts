// The members of groups that own this partition. An owner that has records here and is silent holds them up for its group.
// This partition has the records, so it is the one who notices, and tells the group [GRP-17].
import { clusterStub, type Env, groupStub } from "../../src/env.ts";
import type { ObjectSocket } from "../shared/object-socket.ts";
import type { Owners } from "./housekeeping.ts";
import type { SilentOwner, TailReaders } from "./tail-readers.ts";

type Context = Pick<DurableObjectState, "getWebSocketAutoResponseTimestamp" | "waitUntil">;

export class GroupOwners implements Owners {
  readonly #readers: TailReaders;
  readonly #ctx: Context;
  readonly #env: Env;

  constructor(readers: TailReaders, ctx: Context, env: Env) {
    this.#readers = readers;
    this.#ctx = ctx;
    this.#env = env;
  }

  nextSilenceMs(): number {
    return this.#readers.nextSilenceMs(this.#answeredMs);
  }

  /** Owners that stay silent are reported again a session timeout later. */
  reportSilent(nowMs: number): void {
    for (const owner of this.#readers.takeSilentOwners(this.#answeredMs, nowMs))
      this.#ctx.waitUntil(this.#report(owner).catch(() => {})); // The stub has noted why.
  }

  /** One that is no member of the group is cut off. It would be reported for ever. */
  async #report(owner: SilentOwner): Promise<void> {
    const { group, incarnation, memberNumber } = owner;
    // Any client may have claimed to be an owner. Asking the cluster creates no group.
    const isMember =
      (await clusterStub(this.#env).hasGroup({ groupId: group })) &&
      (await groupStub(this.#env, group).noticeSilence({ incarnation, memberNumber }));
    if (!isMember) this.#readers.dismiss(owner);
  }

  readonly #answeredMs = (socket: ObjectSocket): number =>
    this.#ctx.getWebSocketAutoResponseTimestamp(socket)?.getTime() ?? 0;
}
