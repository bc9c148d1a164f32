// Keeps a page up to date. The group reports over a socket that something has changed, and is then asked, while
// it is awake. The metrics are asked every few seconds for the ends of the partitions. So an idle group and its
// partitions sleep, however long somebody looks at them.
import type { GroupInfo, GroupOffsetInfo } from "../core/group-info.ts";
import type { LagPoint } from "../core/metrics/lag-trends.ts";
import { groupPath, socketProtocols } from "../protocol/paths.ts";
import { credential, get, UnreachableError } from "./api.ts";

export type GroupUpdate =
  | {
      readonly group: GroupInfo;
      /** The lag over the last day, as reported to the metrics. */
      readonly trend: readonly LagPoint[];
      readonly error?: undefined;
      readonly atMs: number;
    }
  | {
      readonly error: unknown;
      readonly group?: undefined;
      readonly trend?: undefined;
      readonly atMs: number;
    };

const LAG_MS = 5_000;
/** Changes within this time lead to one question. */
const GATHER_MS = 250;
/** The wait before a closed socket is opened again. */
const AGAIN_MS = 3_000;

interface ToldLag {
  readonly offsets: readonly GroupOffsetInfo[];
  readonly trend: readonly LagPoint[];
}

/** Reports the state of a group, now and at each update, until the returned function is called. */
export function watchGroup(groupId: string, onUpdate: (update: GroupUpdate) => void): () => void {
  const watch = new Watch(groupId, onUpdate);
  return () => watch.stop();
}

class Watch {
  readonly #path: string;
  readonly #onUpdate: (update: GroupUpdate) => void;
  readonly #controller = new AbortController();
  readonly #seen = () => {
    if (document.hidden) return;
    if (this.#isStale) this.#askSoon(0);
    void this.#askLag();
  };
  #socket: WebSocket | null = null;
  #group: GroupInfo | null = null;
  #trend: readonly LagPoint[] = [];
  #isAsking = false;
  /** True if the group has changed since it was asked. */
  #isStale = true;
  #timers = new Set<ReturnType<typeof setTimeout>>();

  constructor(groupId: string, onUpdate: (update: GroupUpdate) => void) {
    this.#path = groupPath(groupId);
    this.#onUpdate = onUpdate;
    document.addEventListener("visibilitychange", this.#seen);
    void this.#ask("exact");
    this.#askLagLater();
  }

  stop(): void {
    this.#controller.abort();
    this.#socket?.close(1000);
    for (const timer of this.#timers) clearTimeout(timer);
    document.removeEventListener("visibilitychange", this.#seen);
  }

  #later(ms: number, act: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      if (!this.#controller.signal.aborted) act();
    }, ms);
    this.#timers.add(timer);
  }

  #open(): void {
    const url = new URL(`${this.#path}/events`, location.href);
    url.protocol = url.protocol.replace("http", "ws");
    const socket = new WebSocket(url, socketProtocols(credential.value ?? undefined));
    this.#socket = socket;
    socket.addEventListener("message", () => {
      this.#isStale = true;
      this.#askSoon(GATHER_MS);
    });
    socket.addEventListener("close", () => {
      if (this.#socket !== socket || this.#controller.signal.aborted) return;
      this.#socket = null;
      this.#isStale = true;
      this.#askSoon(AGAIN_MS);
    });
  }

  #askAnew(): void {
    this.#isStale = true;
    this.#askSoon(0);
  }

  #askSoon(ms: number): void {
    if (document.hidden || this.#isAsking) return;
    this.#isAsking = true;
    this.#later(ms, () => void this.#ask("told"));
  }

  async #ask(lag: "exact" | "told"): Promise<void> {
    this.#isAsking = true;
    this.#isStale = false;
    try {
      const { signal } = this.#controller;
      const asked = await get<GroupInfo>(`${this.#path}?lag=${lag}`, signal);
      // Partitions that have not reported are missing from the metrics.
      const told = new Set(asked.offsets.map(placeOf));
      const known = this.#group?.offsets.filter((each) => !told.has(placeOf(each))) ?? [];
      const offsets = lag === "exact" ? asked.offsets : [...asked.offsets, ...known];
      this.#show({ ...asked, offsets });
      if (lag === "exact") void this.#askLag(); // For the trend.
      if (this.#socket === null && !signal.aborted) this.#open(); // The group exists.
    } catch (error) {
      if (this.#controller.signal.aborted) return;
      this.#onUpdate({ error, atMs: Date.now() });
      // A group that does not exist is asked for again only when the page is opened again.
      if (error instanceof UnreachableError) this.#later(AGAIN_MS, () => this.#askAnew());
    }
    this.#isAsking = false;
    if (this.#isStale) this.#askSoon(GATHER_MS);
  }

  #askLagLater(): void {
    this.#later(LAG_MS, async () => {
      await this.#askLag();
      this.#askLagLater();
    });
  }

  async #askLag(): Promise<void> {
    if (document.hidden || this.#group === null) return;
    try {
      const { signal } = this.#controller;
      const { offsets, trend } = await get<ToldLag>(`${this.#path}/lag`, signal);
      this.#trend = trend;
      this.#show(withEnds(this.#group, offsets));
    } catch (error) {
      // A broker without metrics refuses. The page then shows the last answer of the group.
      if (error instanceof UnreachableError && !this.#controller.signal.aborted)
        this.#onUpdate({ error, atMs: Date.now() });
    }
  }

  #show(group: GroupInfo): void {
    if (this.#controller.signal.aborted) return;
    this.#group = group;
    this.#onUpdate({ group, trend: this.#trend, atMs: Date.now() });
  }
}

const placeOf = ({ topic, partition }: GroupOffsetInfo) => `${topic}/${partition}`;

/** Returns the group with the reported log ends. A report that is older than the known end changes nothing. */
export function withEnds(group: GroupInfo, told: readonly GroupOffsetInfo[]): GroupInfo {
  const ends = new Map(told.map((each) => [placeOf(each), each]));
  const offsets = group.offsets.map((each) => {
    const end = ends.get(placeOf(each));
    if (end === undefined || end.logEndOffset < each.logEndOffset) return each;
    const { committedOffset } = each;
    const logEndOffset = Math.max(end.logEndOffset, committedOffset ?? 0);
    const lag = committedOffset === null ? null : Math.max(0, logEndOffset - committedOffset);
    const oldestUnreadMs = lag === 0 ? null : (end.oldestUnreadMs ?? each.oldestUnreadMs);
    return { ...each, logEndOffset, lag, oldestUnreadMs };
  });
  return { ...group, offsets };
}
