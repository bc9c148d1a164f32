// Serves the requests of a group's members and admins. It refuses forbidden requests, and asks the cluster for
// what the group does not know. Only after the request has been handled and stored does it notify the members.
import type { Failure, Result } from "../../src/core/errors.ts";
import type { Lookup } from "../../src/core/group/group.ts";
import type { AnswerTo, Found, GroupRequest, RefusalOf } from "../../src/core/group/requests.ts";
import type { GroupKeeper } from "./group-keeper.ts";

/** The part of the cluster that a group needs: see registration.ts. */
export interface Cluster {
  /**
   * Lists the group and returns the topics that exist. The cluster notifies the group of their changes from
   * then on.
   */
  subscribe(lookup: Lookup & Pick<Found, "rooms">): Promise<Result<Found>>;
  /** Removes the group from the list, unless it exists by the time the cluster asks. */
  unlist(): Promise<void>;
}

export class GroupServer {
  readonly #keeper: GroupKeeper;
  readonly #cluster: Cluster;
  /** Notifies the members of what has changed for them, and sets the alarm. */
  readonly #announce: () => Promise<void>;

  constructor(keeper: GroupKeeper, cluster: Cluster, announce: () => Promise<void>) {
    this.#keeper = keeper;
    this.#cluster = cluster;
    this.#announce = announce;
  }

  async serve<Request extends GroupRequest>(request: Request): Promise<AnswerTo<Request>> {
    const found = await this.find(request);
    if (!found.ok) return found;
    const { ok: _ok, ...known } = found;
    const answer = this.#keeper.ask({ ...request, ...known });
    await this.#announce();
    if (known.found !== undefined) await this.unlistUnlessMade();
    return await answer;
  }

  /**
   * [GRP-13] Must run after the cluster was asked, because the cluster then lists a group that may never be
   * created.
   */
  async unlistUnlessMade(): Promise<void> {
    if (!this.#keeper.group.exists) await this.#cluster.unlist();
  }

  /** Returns what must be known before the request can be handled, or why it is refused. */
  async find<Request extends GroupRequest>(
    request: Request,
  ): Promise<RefusalOf<Request> | ({ readonly ok: true } & Found)> {
    const refused = this.#keeper.look((group) => group.whyNot(request));
    if (refused !== null) return refused;
    const lookup = this.#keeper.look((group) => group.lookupFor(request));
    if (lookup === null) return { ok: true };
    // Any request may be refused because the cluster does not answer.
    const rooms = "rooms" in request ? request.rooms : undefined;
    const found = await this.#cluster.subscribe(
      rooms === undefined ? lookup : { ...lookup, rooms },
    );
    return found.ok ? found : (found as Failure as RefusalOf<Request>);
  }
}
