// Faults that the simulation has to find, each a change of one place of the program: who checks the checker.
// They are the mistakes that a change of the code could make, and some that were made.
import type { PlantedFault } from "./bundle.ts";

export const PLANTED_FAULTS: readonly PlantedFault[] = [
  {
    name: "a partition is assigned before its owner has let go",
    seed: 2,
    file: "src/core/group/reconcile.ts",
    original:
      "if (owner === undefined || (owner === member.memberId && !keeps.has(key))) assigned.add(key);",
    planted: "if (owner !== member.memberId || !keeps.has(key)) assigned.add(key);",
  },
  {
    name: "a commit's epoch is not checked",
    seed: 2,
    file: "src/core/group/offsets.ts",
    original: "if (memberEpoch !== member.memberEpoch) return staleEpoch(member, memberEpoch);",
    planted: "if (memberEpoch > member.memberEpoch) return staleEpoch(member, memberEpoch);",
  },
  {
    name: "a commit without a member counts while others read",
    seed: 5,
    file: "src/core/group/admission.ts",
    original: "if (isByHand(token) && whyNotUnused(group) === null) return",
    planted: "if (isByHand(token)) return",
  },
  {
    name: "a commit of any older epoch counts",
    seed: 5,
    file: "src/core/group/offsets.ts",
    original: "memberEpoch < (member.assignmentEpochs.get(key) ?? Number.NEGATIVE_INFINITY);",
    planted: "memberEpoch < Number.NEGATIVE_INFINITY && member.assignmentEpochs.has(key);",
  },
  {
    name: "positions are forgotten though a member reads the topic",
    isRare: true,
    file: "src/core/group/state.ts",
    original: "if (subscribes(member, topic)) return true;",
    planted: "if (subscribes(member, topic) && member.polls) return true;",
  },
  {
    name: "sessions end early",
    isRare: true,
    file: "src/core/group/coordinator.ts",
    original: "lastSeen(member.memberId)) + member.sessionTimeoutMs;",
    planted: "lastSeen(member.memberId)) + member.sessionTimeoutMs / 2;",
  },
  {
    name: "a static member's successor gets its number",
    isRare: true,
    file: "src/core/group/coordinator.ts",
    original: "const memberNumber = known?.memberNumber ?? this.state.nextMemberNumber;",
    planted: "const memberNumber = before?.memberNumber ?? this.state.nextMemberNumber;",
  },
  {
    name: "offsets are not stored",
    isRare: true,
    file: "durable-objects/group/group-store.ts",
    original: "this.#writeOffset(event.key, event.committed);",
    planted: "if (event.committed.offset % 5 !== 0) this.#writeOffset(event.key, event.committed);",
  },
  {
    name: "who lost its socket in a restart is not noted",
    isRare: true,
    file: "durable-objects/group/group-object.ts",
    original: "if (!this.#sockets.has(memberId) && !this.#kafka.isHeard(memberId))",
    planted: "if (memberId === '')",
  },
  {
    name: "the group's alarm is not set again",
    isRare: true,
    file: "durable-objects/group/group-object.ts",
    original: `    this.#alarmAtMs = null;
    try {`,
    planted: "    try {",
  },
  {
    name: "an older owner may attach",
    isRare: true,
    file: "src/core/log/fences.ts",
    original: "return newest === null || compareOwners(candidate, newest) >= 0;",
    planted: "return newest === null || compareOwners(candidate, newest) < Number.MAX_VALUE;",
  },
  {
    name: "the fenced owner's socket stays open",
    isRare: true,
    file: "durable-objects/partition/tail-readers.ts",
    original: "if (other === socket || reader.tail.owner?.group !== owner.group) continue;",
    planted: "if (other === socket || reader.tail.owner !== null) continue;",
  },
  {
    name: "the window is forgotten in hibernation",
    isRare: true,
    file: "durable-objects/partition/tail-readers.ts",
    original: "if (reader?.tail !== undefined) this.#readers.set(socket, reader as Reader);",
    planted: `if (reader?.tail !== undefined) {
        const { tail } = reader;
        const window = { ...tail, windowBytes: tail.maxWindowBytes };
        this.#readers.set(socket, { ...reader, tail: window } as Reader);
      }`,
  },
  {
    name: "a batch is answered before it is written",
    file: "src/core/log/partition-log.ts",
    original: "if (accepted.length > 0) this.#write(accepted, staged, nowMs);",
    planted:
      "if (accepted.length > 0) (globalThis.setImmediate, setTimeout)(() => this.#write(accepted, staged, nowMs), 5);",
  },
  {
    name: "appends of one commit share an offset",
    file: "src/core/log/partition-log.ts",
    original: "      nextOffset += append.recordCount;",
    planted: "      nextOffset += accepted.length === 1 ? 1 : append.recordCount;",
  },
  {
    name: "a repeated append is stored again",
    isRare: true,
    file: "src/core/log/partition-log.ts",
    original: "if (repeated !== null)",
    planted: "if (repeated !== null && repeated.baseOffset < 0)",
  },
  {
    name: "a repeat is recognised by its producer and sequence alone",
    isRare: true,
    file: "src/core/log/producers.ts",
    original: "if (repeated.fingerprint === null || repeated.fingerprint === origin.fingerprint)",
    planted: "if (repeated.baseOffset >= 0)",
  },
  {
    name: "what was received and not delivered is forgotten over a reconnect",
    isRare: true,
    file: "src/member/assigned-partition.ts",
    original: "this.position = this.held[0]?.startOffset ?? this.position;",
    planted: "this.position = this.position ?? 0;",
  },
  {
    name: "the window shrinks by what a batch went beyond it",
    isRare: true,
    file: "src/member/assigned-partition.ts",
    original: "    const bytes = this.#returnBytes;",
    planted: "    const bytes = Math.min(this.#returnBytes, windowBytes);",
  },
  {
    name: "a consumer's session is not looked at before it handles",
    isRare: true,
    file: "src/member/consumer-driver.ts",
    original: "return sessionEndMs !== null && sessionEndMs <= nowMs;",
    planted: "return sessionEndMs !== null && sessionEndMs < 0 * nowMs;",
  },
  {
    name: "a partition is given up before its last commit",
    seed: 14,
    file: "src/member/consumer-core.ts",
    original: `partition.phase === "releasing" && !partition.hasUncommitted,`,
    planted: `partition.phase === "releasing",`,
  },
  {
    name: "a partition is given up while a handler is at work",
    isRare: true,
    file: "src/sdk/consumer/handler-queue.ts",
    original: 'if (this.#busy > 0) return "wait";',
    planted: 'if (this.#busy > 0 && this.#state !== "stopping") return "wait";',
  },
  {
    name: "a close waits for a handler that was lost",
    isRare: true,
    file: "src/sdk/consumer.ts",
    original: "      this.#running--;",
    planted: '      if (queue.state !== "gone") this.#running--;',
  },
  {
    name: "groups are not told that a topic has grown",
    file: "durable-objects/cluster/cluster-object.ts",
    original: "if (partitions !== topic.partitions) this.#addGroupTasks(name);",
    planted: "if (partitions < topic.partitions) this.#addGroupTasks(name);",
  },
  {
    name: "what was refused behind a lost append is sent before it",
    isRare: true,
    file: "src/sdk/producer/lane.ts",
    original: "await this.#deliverAll(again);",
    planted: "await this.#deliverAll(again.reverse());",
  },
  {
    name: "the commit's turn waits for a clock that was set back",
    isRare: true,
    file: "durable-objects/shared/turns.ts",
    original: "if (isAhead) return message();",
    planted: "if (isAhead) return new Promise((resolve) => setTimeout(resolve, 0));",
  },
];
