// The members of groups that own this partition. A silent owner with records here blocks them for its group.
// Only the partition knows that there are records, so it notices the silence and reports it to the group
// [GRP-17].
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

  /** Reports the silent owners. Those that stay silent are reported again a session timeout later. */
  reportSilent(nowMs: number): void {
    for (const owner of this.#readers.takeSilentOwners(this.#answeredMs, nowMs))
      this.#ctx.waitUntil(this.#report(owner).catch(() => {})); // The stub has logged why.
  }

  /** Reports an owner. If it is not a member of the group it is cut off; otherwise it would be reported forever. */
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
