// Readers of one partition that follow to relays, under faults: objects are evicted and crash, calls fail or come late,
// links break. Each reader must get every record once and in order, and all of them once the faults are over, even if
// nothing more is appended.
import { batches } from "../../src/core/log/record-batch.ts";
import type { Exports } from "./bundle.ts";
import { History } from "./history.ts";
import { PartitionChecker } from "./partition-checker.ts";
import { Actor } from "./scheduler.ts";
import type { Endpoint } from "./sockets.ts";
import { type Environment, World } from "./world.ts";

export interface RelaysOutcome {
  readonly findings: readonly string[];
  readonly steps: number;
  readonly counts: { readonly relayed: number; readonly relays: number; readonly moves: number };
}

const TOPIC = "wide";
const READERS = 9;
const PING_MS = 1_000;
const SILENT_MS = 4_000;
/** A partition checks its relays ten seconds after the last append. */
const REST_MS = 60_000;

interface Message {
  readonly type: string;
  readonly attachId: number;
  readonly offset: number;
  readonly relay: number;
}

/** A client of the documented protocol. Whenever its socket ends, it begins at the partition again. */
class Reader {
  readonly #world: World;
  readonly #environment: Environment;
  readonly #tell: (finding: string) => void;
  readonly name: string;
  readonly windowBytes: number;
  nextOffset = 0;
  moves = 0;
  /** The socket that counts. Messages over others are outdated. */
  #socket: Endpoint | null = null;
  #isAttached = false;
  #heardMs = 0;

  constructor(world: World, name: string, windowBytes: number, tell: (finding: string) => void) {
    this.#world = world;
    this.name = name;
    this.windowBytes = windowBytes;
    this.#tell = tell;
    this.#environment = world.environment(new Actor(name));
  }

  start(): void {
    this.#later(0, () => this.#open(null, this.nextOffset));
    this.#ping();
  }

  #later(ms: number, action: () => void): void {
    this.#world.scheduler.after(this.#environment.actor, ms, action);
  }

  #open(relay: number | null, offset: number): void {
    const query = relay === null ? "" : `?relay=${relay}`;
    const url = `ws://localhost/v1/topics/${TOPIC}/partitions/0/socket${query}`;
    const SocketOf = this.#environment.WebSocket as new (url: string) => Endpoint;
    const socket = new SocketOf(url);
    this.#socket = socket;
    this.#isAttached = false;
    this.#heardMs = this.#world.scheduler.nowMs;
    const on = (type: string, action: (event: never) => void) =>
      socket.addEventListener(type, (event: never) => {
        if (this.#socket === socket) action(event);
      });
    on("open", () => {
      const attach = { type: "attach", attachId: 1, offset, windowBytes: this.windowBytes };
      socket.send(JSON.stringify(relay === null ? { ...attach, relays: true } : attach));
    });
    on("message", ({ data }: { data: string | ArrayBuffer }) => {
      this.#heardMs = this.#world.scheduler.nowMs;
      if (data === "pong") return;
      if (typeof data === "string") this.#received(JSON.parse(data) as Message);
      else if (this.#isAttached) this.#take(socket, new Uint8Array(data));
    });
    on("close", () => this.#again());
    on("error", () => this.#again());
  }

  #again(): void {
    this.#socket = null;
    this.#later(this.#world.random.integer(1, 200), () => {
      if (this.#socket === null) this.#open(null, this.nextOffset);
    });
  }

  #received({ type, relay, offset }: Message): void {
    if (type === "attached") this.#isAttached = true;
    if (type === "error") this.#tell(`${this.name} was refused at ${this.nextOffset}`);
    if (type !== "relay") return;
    const left = this.#socket;
    this.moves++;
    this.#open(relay, offset);
    left?.close(1000, "done");
  }

  #take(socket: Endpoint, bytes: Uint8Array): void {
    for (const { header } of batches(bytes)) {
      const next = header.baseOffset + header.lastOffsetDelta + 1;
      if (header.baseOffset !== this.nextOffset)
        this.#tell(`${this.name} got ${header.baseOffset}, it stands at ${this.nextOffset}`);
      this.nextOffset = next;
    }
    const message = { type: "window", attachId: 1, bytes: bytes.length };
    this.#later(this.#world.random.integer(0, 50), () => {
      if (this.#socket === socket && socket.readyState === 1) socket.send(JSON.stringify(message));
    });
  }

  #ping(): void {
    this.#later(PING_MS, () => {
      const socket = this.#socket;
      if (socket !== null && this.#world.scheduler.nowMs - this.#heardMs > SILENT_MS) {
        this.#again();
        socket.close();
      } else if (socket?.readyState === 1) socket.send("ping");
      this.#ping();
    });
  }
}

export async function simulateRelays(program: Exports, seed: number): Promise<RelaysOutcome> {
  const history = new History(
    () => null,
    () => {},
  );
  const checker = new PartitionChecker(history, batches);
  const nothing = () => {};
  const world: World = new World(program, seed, {
    received: (_, endpoint, frame) => checker.received(endpoint, frame),
    sent: (object, endpoint, data) => checker.sent(object, endpoint, data),
    written: nothing,
    threw: nothing,
    crashed: nothing,
  });
  const { random, scheduler, network } = world;
  const operator = world.environment(new Actor("operator"));
  const post = async (path: string, body: object) => {
    const response = await (operator.fetch as typeof fetch)(`${operator.url}${path}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    return response.ok;
  };
  const run = (ms: number, isDone = () => false) =>
    scheduler.run(
      scheduler.nowMs + ms,
      () => world.noteWrites(),
      () => isDone() || history.findings.length > 0,
    );
  let isMade = false;
  scheduler.after(operator.actor, 0, () => {
    void post("/v1/topics", { name: TOPIC, partitions: 1 }).then(() => {
      isMade = true;
    });
  });
  await run(60_000, () => isMade);

  const readers = Array.from(
    { length: READERS },
    (_, i) =>
      new Reader(world, `reader-${i}`, random.pick([1, 300, 100_000]), (finding) =>
        history.find(finding),
      ),
  );
  for (const reader of readers)
    scheduler.after(operator.actor, random.integer(0, 2_000), () => reader.start());

  let isOver = false;
  const often = (meanMs: number, action: () => void) => {
    const again = () => {
      if (isOver) return;
      action();
      scheduler.after(operator.actor, random.delay(meanMs), again);
    };
    scheduler.after(operator.actor, random.delay(meanMs), again);
  };
  let value = 0;
  const appended = () => logEnd(world);
  often(random.pick([30, 150, 1_500]), () => {
    const records = [{ value: value++ }];
    void post(`/v1/topics/${TOPIC}/records`, { records }).catch(nothing);
  });
  const relaysAndPartition = () =>
    world.objects.filter(({ kind }) => kind === "relay" || kind === "partition");
  network.conditions.delayMs = random.pick([1, 5, 40]);
  network.conditions.loss = random.pick([0, 0.01, 0.1]);
  often(random.pick([200, 1_000]), () => {
    for (const object of relaysAndPartition()) if (random.chance(0.4)) object.evict();
  });
  often(random.pick([1_500, 6_000]), () => random.pick(relaysAndPartition())?.crash());
  await run(random.pick([5_000, 15_000, 30_000]));

  isOver = true;
  Object.assign(network.conditions, { loss: 0, delayMs: 1 });
  const relays = world.objects.filter(({ kind }) => kind === "relay").length;
  const haveAll = () => readers.every(({ nextOffset }) => nextOffset === appended());
  await run(REST_MS, () => scheduler.nowMs % 1_000 === 0 && haveAll());
  if (history.findings.length === 0 && !haveAll()) {
    const places = readers.map(({ name, nextOffset }) => `${name} at ${nextOffset}`).join(", ");
    history.find(`after ${REST_MS} ms not all have what was appended, ${appended()}: ${places}`);
  }
  const moves = readers.reduce((sum, reader) => sum + reader.moves, 0);
  const counts = { relayed: appended(), relays, moves };
  world.close();
  return { findings: history.findings, steps: scheduler.steps, counts };
}

/** The end of the partition's log, by its stored data. It has one segment. */
function logEnd(world: World): number {
  const partition = world.objects.find(({ kind }) => kind === "partition");
  if (partition === undefined) return 0;
  const { sql } = partition.storage;
  const [table] = [...sql.exec("SELECT name FROM sqlite_master WHERE name = 'segment_0'")];
  if (table === undefined) return 0;
  const [row] = [
    ...sql.exec<{ next: number | null }>("SELECT max(next_offset) AS next FROM segment_0"),
  ];
  return row?.next ?? 0;
}
