// A member of a group in a process of its own. Reports as lines of JSON what happens to it, each with its
// time, until SIGTERM. Its handler takes HANDLER_MS.
//   node member.ts URL TOPIC GROUP SESSION_TIMEOUT_MS HANDLER_MS
import { setTimeout as wait } from "node:timers/promises";
import { Rivulet } from "../../../src/sdk/index.ts";

export interface MemberLine {
  readonly event: "assigned" | "revoked" | "lost" | "handling" | "handled" | "error" | "closed";
  readonly atMs: number;
  readonly offset?: number;
  readonly partitions?: number;
  readonly detail?: string;
}

const [url = "", topic = "", groupId = "", ...numbers] = process.argv.slice(2);
const [sessionTimeoutMs = 0, handlerMs = 0] = numbers.map(Number);

function say(event: MemberLine["event"], more: Omit<MemberLine, "event" | "atMs"> = {}): void {
  const line: MemberLine = { event, atMs: Date.now(), ...more };
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

const consumer = new Rivulet({ url }).consumer({
  groupId,
  topics: [topic],
  sessionTimeoutMs,
  commitIntervalMs: 0,
  onAssigned: ({ length }) => say("assigned", { partitions: length }),
  onRevoked: ({ length }) => say("revoked", { partitions: length }),
  onLost: ({ length }) => say("lost", { partitions: length }),
  onError: ({ message }) => say("error", { detail: message }),
});
process.on("SIGTERM", () => consumer.close());
await consumer.run({
  eachRecord: async ({ offset }) => {
    say("handling", { offset });
    if (handlerMs > 0) await wait(handlerMs);
    say("handled", { offset });
  },
});
say("closed");
