// The limits of patience: a handler may take minutes, but a process that is gone may not keep its partition beyond its
// session timeout. One partition, one owner, one waiting member.
import { setTimeout as wait } from "node:timers/promises";
import { Rivulet } from "../../../src/sdk/index.ts";
import { BrokerProcess } from "../../e2e/broker.ts";
import { Reporter } from "../../e2e/processes/reporter.ts";
import { until } from "../../support/until.ts";
import type { MemberLine } from "../processes/member.ts";
import { median, printTable, round } from "../report.ts";

const SESSION_TIMEOUT_MS = 2_000;
const DEFAULT_HANDLER_MS = 5 * 60_000;
const ENDINGS = 10;
/** The interval between records while owners are killed: the error of "first delivery". */
const RECORD_MS = 10;
/** The time for which a stopped and continued owner is watched for records that are no longer its own. */
const ZOMBIE_MS = 1_000;

type Member = Reporter<MemberLine>;

interface Place {
  readonly broker: BrokerProcess;
  readonly rivulet: Rivulet;
  readonly topic: string;
}

export async function benchHandler(): Promise<void> {
  const broker = await BrokerProcess.start();
  const rivulet = new Rivulet({ url: broker.url });
  try {
    await slowHandler({ broker, rivulet, topic: "slow" });
    console.log(
      `The owner's process ends, session timeout ${SESSION_TIMEOUT_MS} ms, ${ENDINGS} times each\n`,
    );
    const rows = [
      await takeovers({ broker, rivulet, topic: "killed" }, "SIGKILL"),
      await takeovers({ broker, rivulet, topic: "stopped" }, "SIGSTOP"),
    ];
    const times = ["median ms", "min ms", "max ms"];
    printTable(["ended by", ...times, "median / timeout", "handled after going on"], rows);
  } finally {
    await broker.stop();
  }
}

/** A record whose handler takes far longer than the session timeout, and one behind it for the next owner. */
async function slowHandler(place: Place): Promise<void> {
  const { rivulet, topic } = place;
  const handlerMs = handlerArgument();
  await rivulet.admin.createTopic({ name: topic, partitions: 1 });
  const owner = await startOwner(place, handlerMs);
  const waiting = await startWaiting(place, 0);
  await rivulet.producer.send(topic, [{ value: "takes long" }]);
  const isHandled = () => has(owner, "handled");
  await until("the slow record is handled", isHandled, handlerMs + 60_000);
  const committed = async () => {
    const { offsets } = await rivulet.admin.describeGroup(topic);
    return offsets[0]?.committedOffset === 1;
  };
  const commitFromMs = performance.now();
  await until("it is committed", committed);
  const commitMs = performance.now() - commitFromMs;
  await owner.signal("SIGTERM");
  await rivulet.producer.send(topic, [{ value: "for the next" }]);
  await until("the other member goes on", () => offsetsOf(waiting).includes(1));
  await waiting.signal("SIGTERM");

  const deliveries = [owner, waiting].flatMap(offsetsOf).filter((offset) => offset === 0).length;
  const took = time(owner, "handled") - time(owner, "handling");
  console.log(
    `A handler of ${handlerMs} ms, session timeout ${SESSION_TIMEOUT_MS} ms, a second member waiting\n`,
  );
  printTable(
    ["handler took, ms", "deliveries", "revoked or lost", "errors", "seen committed after, ms"],
    [
      [
        round(took, 0),
        String(deliveries),
        String(count(owner, "revoked") + count(owner, "lost")),
        String(count(owner, "error") + count(waiting, "error")),
        round(commitMs, 0),
      ],
    ],
  );
}

/** Ends the owner again and again. The waiting member is the next owner, and a new one waits. */
async function takeovers(place: Place, signal: "SIGKILL" | "SIGSTOP"): Promise<string[]> {
  const { rivulet, topic } = place;
  await rivulet.admin.createTopic({ name: topic, partitions: 1 });
  const times: number[] = [];
  let handledAfter = 0;
  let isOver = false;
  const flow = (async () => {
    while (!isOver) {
      await rivulet.producer.send(topic, [{ value: "tick" }]);
      await wait(RECORD_MS);
    }
  })();
  let owner = await startOwner(place, 0);
  for (let i = 0; i < ENDINGS; i++) {
    const next = await startWaiting(place, 0);
    await until("the owner is at work", () => has(owner, "handled"));
    // Each time at a different moment between two heartbeats: the session counts from the last one.
    await wait((i * SESSION_TIMEOUT_MS) / 3 / ENDINGS);
    const endedMs = Date.now();
    const ended = owner.signal(signal);
    await until("the next member goes on", () => has(next, "handling"));
    times.push(time(next, "handling") - endedMs);
    if (signal === "SIGSTOP") {
      const before = count(owner, "handling");
      void owner.signal("SIGCONT");
      await wait(ZOMBIE_MS);
      handledAfter += count(owner, "handling") - before;
      void owner.signal("SIGKILL");
    }
    await ended;
    owner = next;
  }
  isOver = true;
  await flow;
  await owner.signal("SIGTERM");
  const cells = [median(times), Math.min(...times), Math.max(...times)];
  return [
    signal,
    ...cells.map((ms) => round(ms, 0)),
    round(median(times) / SESSION_TIMEOUT_MS),
    signal === "SIGSTOP" ? String(handledAfter) : "-",
  ];
}

async function startOwner(place: Place, handlerMs: number): Promise<Member> {
  const member = start(place, handlerMs);
  await until("it has the partition", () => has(member, "assigned"));
  return member;
}

/** In the group without partitions: it says so with an empty assignment. */
const startWaiting = startOwner;

function start({ broker, topic }: Place, handlerMs: number): Member {
  const file = new URL("../processes/member.ts", import.meta.url).href;
  const numbers = [SESSION_TIMEOUT_MS, handlerMs].map(String);
  return new Reporter<MemberLine>(file, [broker.url, topic, topic, ...numbers]);
}

function handlerArgument(): number {
  const index = process.argv.indexOf("--handler-ms");
  return index === -1 ? DEFAULT_HANDLER_MS : Number(process.argv[index + 1]);
}

function count(member: Member, event: MemberLine["event"]): number {
  return member.lines.filter((line) => line.event === event).length;
}

function has(member: Member, event: MemberLine["event"]): boolean {
  return member.lines.some((line) => line.event === event);
}

function time(member: Member, event: MemberLine["event"]): number {
  return member.lines.find((line) => line.event === event)?.atMs ?? Number.NaN;
}

function offsetsOf(member: Member): number[] {
  return member.lines.flatMap((line) => (line.event === "handling" ? [line.offset ?? -1] : []));
}
