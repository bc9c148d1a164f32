// A group for requests of Kafka's clients. If there is no such group, requests that only read are answered
// here, as an empty object would answer them, but without creating it [FIL-1]. Requests that may create the
// group go to its object.

import type { GroupRequest, HeartbeatRequest } from "../../calls/group-calls.ts";
import { syncedReply } from "../../calls/kafka-replies.ts";
import { groupResource } from "../../core/access/grants.ts";
import type { Operation } from "../../core/access/operations.ts";
import { whyNotGroupId } from "../../core/cluster/topics.ts";
import { BrokerError, ERRORS, KAFKA_ERRORS } from "../../core/errors.ts";
import { isByHand, unknownMember } from "../../core/group/admission.ts";
import { describeClassic, describeConsumers } from "../../core/group/describe.ts";
import type { ClassicJoin, ClassicSync, ClassicToken } from "../../core/group/requests.ts";
import { emptyGroup } from "../../core/group/state.ts";
import { failureOf } from "../../core/platform-errors.ts";
import { type Env, groupStub } from "../../env.ts";
import { noteChange } from "../edge/audit.ts";
import { mayUseGroup } from "../edge/authorize.ts";
import { deleteGroup, type Group, groupExists, groupRooms } from "../edge/groups.ts";
import type { RequestContext } from "./context.ts";
import { codeOf, outcomeOfError } from "./errors.ts";

const UNKNOWN_MEMBER_ID = ERRORS.UNKNOWN_MEMBER_ID.code;

export class KafkaGroup {
  readonly #env: Env;
  readonly #groupId: string;
  readonly #group: Group;

  constructor(env: Env, groupId: string) {
    this.#env = env;
    this.#groupId = groupId;
    this.#group = groupStub(env, groupId);
  }

  // Requests that may create the group.

  async joinClassic(request: ClassicJoin) {
    return await this.#group.joinClassic({ ...request, ...this.#rooms });
  }

  /** Epoch 0 joins. Any other epoch comes from a member. */
  async heartbeat(request: HeartbeatRequest) {
    const { memberEpoch, memberId } = request;
    if (memberEpoch === 0 || (await this.#exists()))
      return await this.#group.heartbeat({ ...request, ...this.#rooms });
    return unknownMember(memberId);
  }

  /** Commits offsets. A manual commit, without a member, creates the group. */
  async commitOffsets(request: GroupRequest<"commitOffsets">) {
    if (isByHand(request.token) || (await this.#exists()))
      return await this.#group.commitOffsets({ ...request, ...this.#rooms });
    return { errorCode: UNKNOWN_MEMBER_ID, errorCodes: [] };
  }

  // Requests that only read.

  async syncClassic(request: ClassicSync) {
    if (await this.#exists()) return await this.#group.syncClassic(request);
    return syncedReply(unknownMember(request.memberId));
  }

  async heartbeatClassic(token: ClassicToken) {
    if (await this.#exists()) return await this.#group.heartbeatClassic(token);
    return UNKNOWN_MEMBER_ID;
  }

  async leaveClassic(request: GroupRequest<"leaveClassic">) {
    if (await this.#exists()) return await this.#group.leaveClassic(request);
    return request.members.map(() => UNKNOWN_MEMBER_ID);
  }

  async committedOffsets(request: GroupRequest<"committedOffsets">) {
    if (await this.#exists()) return await this.#group.committedOffsets(request);
    return { offsets: [] }; // [CLS-11]
  }

  async deletePositions(request: GroupRequest<"deletePositions">) {
    if (!(await this.#exists())) return ERRORS.GROUP_ID_NOT_FOUND.code;
    const answer = await this.#group.deletePositions({ ...request, asksDeleted: true });
    if (typeof answer !== "object") return answer;
    const codes = Array.isArray(answer) ? answer : answer.codes;
    // Deleting an offset that was never committed is no error, as in Kafka, and is no change.
    const isDeleted = (i: number) =>
      Array.isArray(answer) ? answer[i] === KAFKA_ERRORS.NONE : answer.deleted[i] === true;
    const topics = new Set(
      request.positions.filter((_, i) => isDeleted(i)).map(({ topic }) => topic),
    );
    if (topics.size > 0)
      noteChange(this.#env, "deleteOffsets", groupResource(this.#groupId), [...topics].join(","));
    return codes;
  }

  async describeClassic() {
    if (await this.#exists()) return await this.#group.describeClassic();
    return describeClassic(emptyGroup(this.#groupId));
  }

  async describeConsumers() {
    if (await this.#exists()) return await this.#group.describeConsumers();
    return describeConsumers(emptyGroup(this.#groupId));
  }

  async destroy() {
    return await deleteGroup(this.#env, this.#groupId);
  }

  /** [QUO-5] A caller that may read a group may create it. */
  get #rooms() {
    return groupRooms(this.#env, "READ", this.#groupId);
  }

  #exists(): Promise<boolean> {
    return groupExists(this.#env, this.#groupId);
  }
}

/**
 * Asks the group, if the caller may do this to it. Returns an error code if this node may not be asked or the
 * group's object does not answer.
 */
export async function atGroup<T>(
  groupId: string,
  operation: Operation,
  { env, nodes }: RequestContext,
  ask: (group: KafkaGroup) => Promise<T>,
): Promise<T | number> {
  const invalid = whyNotGroupId(groupId);
  if (invalid !== null) return codeOf(invalid.error);
  if (!mayUseGroup(env, operation, groupId)) return codeOf("GROUP_AUTHORIZATION_FAILED");
  if (!nodes.isOwn(nodes.coordinatorOf(groupId))) return KAFKA_ERRORS.NOT_COORDINATOR;
  try {
    return await ask(new KafkaGroup(env, groupId));
  } catch (error) {
    // On a passing error, clients look up the coordinator and retry, again and again. Damaged data must be
    // reported to their users instead.
    const isPassing = !(error instanceof BrokerError) && failureOf(error) !== "damaged";
    return isPassing ? codeOf("COORDINATOR_NOT_AVAILABLE") : outcomeOfError(error).errorCode;
  }
}
