// The calls of the cluster object when everybody returns at once, as after a deploy. The Worker's isolate knows nothing,
// every object must wake, and all sockets are broken. The run counts the cluster's calls.
import { bundle, type Exports } from "./bundle.ts";
import { GLOBALS } from "./globals.ts";
import { Actor } from "./scheduler.ts";
import { World } from "./world.ts";

export interface Reconnect {
  readonly topics: number;
  readonly groups: number;
  readonly membersPerGroup: number;
}

export interface ReconnectCounts {
  /** The calls of the cluster from the deploy on, by method. */
  readonly calls: Readonly<Record<string, number>>;
  /** The members that own partitions in the end, and the records that they got after the deploy. */
  readonly members: number;
  readonly records: number;
}

const MINUTE_MS = 60_000;

export async function reconnect(
  { topics, groups, membersPerGroup }: Reconnect,
  program?: Exports,
): Promise<ReconnectCounts> {
  const nothing = () => {};
  const world = new World(program ?? (await bundle(GLOBALS)), 1, {
    received: nothing,
    sent: nothing,
    written: nothing,
    threw: nothing,
    crashed: nothing,
  });
  const { scheduler, network } = world;
  const run = (ms: number) => scheduler.run(scheduler.nowMs + ms, nothing, () => false);
  const operator = world.environment(new Actor("operator"));
  const post = (path: string, body: object) =>
    scheduler.after(operator.actor, 0, () => {
      void (operator.fetch as typeof fetch)(`${operator.url}${path}`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body),
      });
    });
  const produce = () => {
    for (let topic = 0; topic < topics; topic++)
      post(`/v1/topics/t${topic}/records`, {
        records: Array.from({ length: membersPerGroup }, (_, partition) => ({
          value: "v",
          partition,
        })),
      });
  };
  for (let topic = 0; topic < topics; topic++)
    post("/v1/topics", { name: `t${topic}`, partitions: membersPerGroup });
  await run(MINUTE_MS);
  produce();
  const owned = new Map<string, number>();
  let records = 0;
  for (let group = 0; group < groups; group++)
    for (let member = 0; member < membersPerGroup; member++) {
      const name = `g${group}-${member}`;
      const actor = new Actor(name);
      const { program: sdk, url, fetch, WebSocket } = world.environment(actor);
      scheduler.after(actor, 0, () => {
        const count = (change: number) => owned.set(name, (owned.get(name) ?? 0) + change);
        const consumer = new sdk.Rivulet({
          url,
          fetch: fetch as never,
          WebSocket: WebSocket as never,
        }).consumer({
          groupId: `g${group}`,
          topics: [`t${group % topics}`],
          clientId: name,
          from: "earliest",
          onAssigned: (partitions) => void count(partitions.length),
          onRevoked: (partitions) => void count(-partitions.length),
          onLost: (partitions) => void count(-partitions.length),
        });
        void consumer.run({
          eachRecord: () => {
            records++;
          },
        });
      });
    }
  await run(2 * MINUTE_MS);
  const cluster = world.object("cluster", "cluster");
  const before = new Map(cluster.calls);
  for (const link of network.links) network.cut(link, 0, 0);
  world.recycleWorker();
  await run(100);
  for (const object of world.objects) object.evict();
  records = 0;
  await run(MINUTE_MS);
  produce();
  await run(MINUTE_MS);
  world.close();
  const calls = Object.fromEntries(
    [...cluster.calls].flatMap(([method, count]) => {
      const since = count - (before.get(method) ?? 0);
      return since === 0 ? [] : [[method, since]];
    }),
  );
  return { calls, members: [...owned.values()].filter((count) => count > 0).length, records };
}
