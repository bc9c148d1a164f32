// One group whose members are of every kind: the SDK in a browser, the SDK in Node, a plain WebSocket, a poller.
// Each kind is killed in turn, without a good-bye, while records flow.
import { afterAll, beforeAll, expect, test } from "vitest";
import { Rivulet } from "../../src/sdk/index.ts";
import { BrokerProcess } from "../e2e/broker.ts";
import { PlainClient } from "../e2e/plain-client.ts";
import { Reporter } from "../e2e/processes/reporter.ts";
import { until } from "../support/until.ts";
import { launchKillable } from "./chromium.ts";
import { Pages, runInPage } from "./pages.ts";

declare global {
  var member: (url: string, options: object) => void;
}

const TOPIC = "mixed";
const GROUP = "mixed";
const PARTITIONS = 12;
const SESSION_MS = 2_000;

interface Handled {
  readonly who: string;
  readonly partition: number;
  readonly offset: number;
  readonly atMs: number;
}

interface Member {
  readonly who: string;
  kill(): Promise<void> | void;
}

let broker: BrokerProcess;
let pages: Pages;
let rivulet: Rivulet;
beforeAll(async () => {
  broker = await BrokerProcess.start();
  pages = await Pages.start();
  rivulet = new Rivulet({ url: broker.url });
});
const members = new Map<string, Member>();
afterAll(async () => {
  for (const member of members.values()) await member.kill();
  pages?.stop();
  await broker?.stop();
});

const handled: Handled[] = [];
const killed = new Map<string, number>();
const now = () => performance.timeOrigin + performance.now();
const note = (who: string, partition: number, offset: number, atMs = now()) =>
  handled.push({ who, partition, offset, atMs });

async function browserMember(who: string): Promise<Member> {
  const { browser, kill } = await launchKillable();
  const page = await browser.newPage();
  await page.exposeFunction("handled", (partition: number, offset: number, atMs: number) =>
    note(who, partition, offset, atMs),
  );
  await runInPage(page, pages, "member.js");
  const options = { groupId: GROUP, topics: [TOPIC], clientId: who, sessionTimeoutMs: SESSION_MS };
  await page.evaluate(([url, rest]) => globalThis.member(url, rest), [
    broker.url,
    options,
  ] as const);
  return { who, kill };
}

function nodeMember(who: string): Member {
  const options = { groupId: GROUP, topics: [TOPIC], clientId: who, sessionTimeoutMs: SESSION_MS };
  const child = new Reporter<[number, number, number]>("../../browser/processes/node-member.ts", [
    broker.url,
    JSON.stringify(options),
  ]);
  child.onLine = ([partition, offset, atMs]) => note(who, partition, offset, atMs);
  return { who, kill: () => void child.signal("SIGKILL") };
}

function plainMember(who: string): Member {
  const query = `topics=${TOPIC}&from=earliest&clientId=${who}&sessionTimeoutMs=${SESSION_MS}`;
  const client = new PlainClient(broker.url, GROUP, query);
  client.onMessage = (message) => {
    if (message.type === "records")
      for (const { offset } of message.records) note(who, message.partition, offset);
  };
  return { who, kill: () => client.cut() };
}

function pollingMember(who: string): Member {
  let isAlive = true;
  const poll = async () => {
    let ack: object[] = [];
    while (isAlive) {
      const response = await fetch(`${broker.url}/v1/groups/${GROUP}/poll`, {
        method: "POST",
        body: JSON.stringify({
          instanceId: who,
          clientId: who,
          topics: [TOPIC],
          waitMs: 200,
          sessionTimeoutMs: SESSION_MS,
          ack,
        }),
      });
      const { records = [] } = (await response.json()) as {
        records?: { topic: string; partition: number; offset: number }[];
      };
      if (!isAlive) return; // It died while it waited: it has seen nothing.
      for (const { partition, offset } of records) note(who, partition, offset);
      ack = records.map(({ topic, partition, offset }) => ({ topic, partition, offset }));
    }
  };
  void poll();
  return {
    who,
    kill: () => {
      isAlive = false;
    },
  };
}

const KINDS = {
  browser: browserMember,
  node: nodeMember,
  plain: plainMember,
  poller: pollingMember,
} as const;

/** Waits until these are the members, each partition has one owner, and everybody is at one epoch. */
function settledWith(members: readonly Member[]) {
  const names = members.map(({ who }) => who).sort();
  return until(`the group is ${names}`, async () => {
    const group = await rivulet.admin.describeGroup(GROUP).catch(() => null);
    if (group === null) return false; // Nobody has joined yet.
    const owned = group.members.flatMap(({ assignment }) =>
      assignment.flatMap(({ partitions }) => partitions),
    );
    // At no time, settled or not, does a partition have two of them.
    expect(new Set(owned).size).toBe(owned.length);
    const isSettled =
      group.state === "STABLE" &&
      owned.length === PARTITIONS &&
      group.members.every(({ memberEpoch }) => memberEpoch === group.epoch);
    const there = group.members.map(({ clientId }) => clientId ?? "").sort();
    return isSettled && there.join() === names.join() && group;
  });
}

test("[MIX-1] a group of all kinds of members: each kind is killed in turn, nothing is lost, nothing goes to two owners", async () => {
  await rivulet.admin.createTopic({ name: TOPIC, partitions: PARTITIONS });
  let sent = 0;
  let isProducing = true;
  const producing = (async () => {
    while (isProducing) {
      const records = Array.from({ length: PARTITIONS }, (_, partition) => ({
        value: sent++,
        partition,
      }));
      await rivulet.producer.send(TOPIC, records);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  })();

  for (const [kind, start] of Object.entries(KINDS)) {
    const member = await start(`${kind}-1`);
    members.set(kind, member);
  }
  await settledWith([...members.values()]);
  const handledBy = (who: string) => handled.filter((each) => each.who === who).length;
  for (const { who } of members.values()) await until(`${who} handles`, () => handledBy(who) > 20);

  for (const [kind, start] of Object.entries(KINDS)) {
    const victim = members.get(kind) as Member;
    killed.set(victim.who, now());
    await victim.kill();
    members.delete(kind);
    await settledWith([...members.values()]);
    const successor = await start(`${kind}-2`);
    members.set(kind, successor);
    await settledWith([...members.values()]);
    await until(`${successor.who} handles`, () => handledBy(successor.who) > 20);
  }

  isProducing = false;
  await producing;
  const distinct = () =>
    new Set(handled.map(({ partition, offset }) => `${partition}/${offset}`)).size;
  await until("everything was handled", () => distinct() === sent);

  // A record comes again only if its owner was killed before it had committed.
  const first = new Map<string, Handled>();
  for (const each of handled.toSorted((a, b) => a.atMs - b.atMs)) {
    const place = `${each.partition}/${each.offset}`;
    const before = first.get(place);
    if (before !== undefined && before.who !== each.who)
      expect(killed.get(before.who), `${place} by ${before.who}, then by ${each.who}`).toBeLessThan(
        each.atMs,
      );
    first.set(place, each);
  }
  // Within a partition offsets ascend, whoever handles them, except for records that came again.
  for (const partition of Array(PARTITIONS).keys()) {
    const own = handled
      .filter((each) => each.partition === partition)
      .sort((a, b) => a.atMs - b.atMs);
    for (const [i, each] of own.entries()) {
      const before = own[i - 1];
      if (before !== undefined && each.offset <= before.offset)
        expect(killed.has(before.who)).toBe(true);
    }
  }
  expect(sent).toBeGreaterThan(1_000);
});
