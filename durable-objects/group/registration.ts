// The data that the group and the cluster have about each other. The cluster lists the group and notifies it of
// its topics. It also knows if the group has ever stored something. So a group that has lost its storage is not
// mistaken for a new one [FIL-6].
import type { TopicDescription } from "../../src/core/cluster/topics.ts";
import { errorOf, type Failure, fail, failureOf, type Result } from "../../src/core/errors.ts";
import type { GroupSummary } from "../../src/core/group/describe.ts";
import type { Lookup } from "../../src/core/group/group.ts";
import type { Found } from "../../src/core/group/requests.ts";
import type { GroupTopic } from "../../src/core/group/state.ts";
import { brokerError, failureOf as platformFailureOf } from "../../src/core/platform-errors.ts";
import { clusterStub, type Env, placeOf } from "../../src/env.ts";
import type { Notes } from "../shared/notes.ts";
import type { OwnerSigner } from "../shared/owner-signature.ts";
import type { Cluster } from "./group-server.ts";

/** The note with what was last reported to the cluster. Its name is stored. */
const SUMMARY = "summary";

/**
 * The summary of a new group. Most groups are created by a member that joins. The others report theirs to the
 * cluster at once.
 */
const NEW_GROUP: GroupSummary = {
  protocolType: "consumer",
  groupState: "Stable",
  groupType: "consumer",
};

/** The parts of the group's object that are needed here. */
interface Life {
  readonly env: Env;
  readonly groupId: string;
  readonly objectId: string;
  readonly notes: Notes;
  readonly signer: Pick<OwnerSigner, "learn">;
  exists(): boolean;
  waitUntil(promise: Promise<unknown>): void;
}

export class Registration implements Cluster {
  readonly #life: Life;
  /** The lookups of the requests that wait for the cluster. They may create the group. */
  readonly #subscribing = new Set<Lookup>();
  /** True if the group was deleted in this life. It then rightly has no stored data. */
  #wasDestroyed = false;
  /**
   * [FIL-6] The reason why the group's stored data cannot be read. The group then behaves as if it had lost its
   * data.
   */
  #damage: Failure | null = null;
  /** True if the cluster knows that the group has stored something. */
  #isNoted = false;
  /** The group's line in lists, as of now. Null if nothing has changed in this life. */
  #summary: GroupSummary | null = null;
  #isTelling = false;
  /** The summary that this life last reported to the cluster. */
  #told: string | null = null;

  constructor(life: Life) {
    this.#life = life;
  }

  get #cluster() {
    return clusterStub(this.#life.env);
  }

  get #own(): { groupId: string } {
    return { groupId: this.#life.groupId };
  }

  /** True if the cluster has to keep the group on its list. */
  get isNeeded(): boolean {
    return this.#life.exists() || this.#subscribing.size > 0 || this.#damage !== null;
  }

  /** [QUO-6] Returns the lookups of the requests that wait for the cluster. */
  get asked(): readonly Lookup[] {
    return [...this.#subscribing];
  }

  async subscribe(lookup: Lookup & Pick<Found, "rooms">): Promise<Result<Found>> {
    if (this.#damage !== null) return this.#damage;
    this.#subscribing.add(lookup);
    try {
      const isNew = !this.#life.exists();
      const asked = { ...this.#own, ...lookup, ...(isNew ? { summary: NEW_GROUP } : {}) };
      const subscribed = await this.#cluster.subscribe(asked);
      if (!subscribed.ok) return subscribed;
      if (subscribed.ownerSecret !== undefined) this.#life.signer.learn(subscribed.ownerSecret);
      if (isNew && subscribed.isListedNow) this.#told = JSON.stringify(NEW_GROUP);
      const { topics, retiredIncarnation, isMade } = subscribed;
      if (isMade && !this.#life.exists() && !this.#wasDestroyed) return this.#goneFailure();
      const newIncarnation = retiredIncarnation + 1;
      return { ok: true, found: topics.map(groupTopic), newIncarnation };
    } catch (error) {
      if (platformFailureOf(error) === "damaged") return failureOf(brokerError(error));
      return fail(
        "COORDINATOR_NOT_AVAILABLE",
        `the cluster's metadata cannot be reached: ${error}`,
      );
    } finally {
      this.#subscribing.delete(lookup); // The waiting request continues in this turn. It creates or unlists the group.
    }
  }

  /** [GRP-13] Removes the group from the cluster's list, unless it exists by the time the cluster asks. */
  async unlist(isDeleted = false): Promise<void> {
    // [FIL-6] A group that has lost its data stays listed until somebody deletes it.
    if (!isDeleted && !this.#wasDestroyed && (await this.#cluster.isGroupMade(this.#own))) return;
    await this.#cluster.forgetGroup(this.#own);
  }

  /** Called before the group is deleted. The next group of this name gets a later incarnation. */
  async retire(incarnation: number): Promise<void> {
    await this.#cluster.retireIncarnation({ incarnation });
  }

  get isDamaged(): boolean {
    return this.#damage !== null;
  }

  noteDestroyed(): void {
    this.#life.notes.forget();
    this.#told = null;
    this.#summary = null;
    this.#wasDestroyed = true;
    this.#damage = null;
    this.#isNoted = false;
  }

  /** Notes that the group's stored data cannot be read. */
  noteDamage(error: Error): Failure {
    this.#damage = this.#unusable(`what it has stored is damaged: ${error.message}`);
    return this.#damage;
  }

  /**
   * [FIL-6] Must run before anything is answered about a group without stored data. It throws if there was
   * data, so that the group is not mistaken for a new one.
   */
  async assertKept(): Promise<void> {
    if (this.#damage !== null) throw errorOf(this.#damage);
    if (this.#life.exists() || this.#wasDestroyed) return;
    const isMade = await this.#cluster.isGroupMade(this.#own);
    if (isMade && !this.#life.exists() && !this.#wasDestroyed) throw errorOf(this.#goneFailure());
  }

  /** [FIL-6] True if the group's data is gone, or none of it can be read. */
  async isLost(): Promise<boolean> {
    if (this.#wasDestroyed) return false;
    return this.#damage !== null || (await this.#cluster.isGroupMade(this.#own));
  }

  /**
   * [FIL-6] Reports to the cluster, once per life, that there is data to lose, if a disk may lose it. Nobody
   * waits for it.
   */
  noteMade(): void {
    const { env } = this.#life;
    if (this.#isNoted || env.RIVULET_FILES === undefined || !this.#life.exists()) return;
    this.#isNoted = true;
    const noted = this.#cluster.noteGroupMade(this.#own);
    this.#life.waitUntil(
      noted.catch(() => {
        this.#isNoted = false;
      }),
    );
  }

  /**
   * [KFK-34] Reports to the cluster what lists show of the group, if that has changed since the last report.
   * Nobody waits for it. If the cluster is out of reach, the group's next change reports it.
   */
  reportSummary(summary: GroupSummary | null): void {
    if (summary === null) return;
    this.#summary = summary;
    if (this.#isTelling || this.#isTold()) return;
    this.#isTelling = true;
    this.#life.waitUntil(
      this.#report()
        .catch(() => {}) // The stub has logged why.
        .finally(() => {
          this.#isTelling = false;
        }),
    );
  }

  /** True if the cluster knows the newest summary, which is then noted. */
  #isTold(): boolean {
    const { notes } = this.#life;
    const text = JSON.stringify(this.#summary);
    if (text === this.#told) notes.set(SUMMARY, text);
    return text === (this.#told ?? notes.get(SUMMARY));
  }

  /** Sends one report after another, so that the newest arrives last. */
  async #report(): Promise<void> {
    while (this.#summary !== null && this.#life.exists() && !this.#isTold()) {
      const summary = this.#summary;
      await this.#cluster.summarizeGroup({ ...this.#own, summary });
      this.#told = JSON.stringify(summary);
    }
  }

  /**
   * [FIL-6] The error of a group that has lost its data. It must not start anew by itself: members would read
   * finished records again, or skip unread ones.
   */
  #goneFailure(): Failure {
    return this.#unusable("its storage is gone, and with it what was committed");
  }

  /** [ERR-3] The caller logs this failure. Stubs do so, and a member's join over a socket does. */
  #unusable(what: string): Failure {
    const { env, groupId, objectId } = this.#life;
    const { file } = placeOf(env, "group", "", objectId);
    const detail = `group ${groupId}: ${what} (${file}); restore the file, or delete the group to begin anew`;
    return { ...fail("KAFKA_STORAGE_ERROR", detail), retriable: false };
  }
}

export function groupTopic({
  topicId,
  name,
  partitions,
}: Pick<TopicDescription, "topicId" | "name" | "partitions">): GroupTopic {
  return { topicId, name, partitions };
}
