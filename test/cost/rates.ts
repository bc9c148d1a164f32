// A workload's operations as rates per second, by arithmetic that is printed with them. Requests come at random and do not
// wait for one another, as those of many independent clients.
import {
  API_KEY_AGE_MS,
  MAX_CHUNK_BYTES,
  METADATA_CACHE_TOPICS,
  METADATA_FRESH_MS,
  PRODUCER_SNAPSHOT_CHUNKS,
  SOCKET_KEY_AGE_MS,
} from "../../src/core/limits.ts";
import { MESSAGES_PER_REQUEST, SECONDS_PER_MONTH } from "../../src/core/metrics/prices.ts";
import type { Counts } from "./counts.ts";
import { commitsOf, shareRows } from "./sharing.ts";
import { bytesPerAppend } from "./stored.ts";
import type { Workload } from "./workload.ts";

/** The operations of a line, all topics together, per second. Missing ones are 0. */
export interface Line {
  readonly what: string;
  readonly arithmetic: string;
  /** The owner of these rows and requests. Null for what only the Worker does. */
  readonly object: "partition" | "group" | "cluster" | null;
  readonly rowsWritten?: number;
  readonly rowsRead?: number;
  /** Requests to objects: calls, upgrades and alarms. */
  readonly calls?: number;
  readonly alarms?: number;
  readonly messages?: number;
  /** Seconds for which objects are awake. */
  readonly awake?: number;
  readonly workerRequests?: number;
  readonly workerMs?: number;
}

/** A partition's sockets are pinged by their client (src/member/partition-readers.ts). */
const PING_SECONDS = 15;
/** The platform puts an object to sleep after this long without an event. */
const SLEEP_SECONDS = 10;
/** Metadata lives for METADATA_FRESH_MS and up to a fifth longer. */
const METADATA_SECONDS = (1.1 * METADATA_FRESH_MS) / 1_000;

/** The common part of the lines. Rates are per second, and per topic or per partition where noted. */
export interface Traffic {
  /** Per topic. */
  readonly requests: number;
  /** The partitions that one request appends to. */
  readonly touched: number;
  /** Per partition. */
  readonly appends: number;
  readonly rows: number;
  readonly awake: number;
  readonly bytes: number;
}

export function trafficOf(workload: Workload): Traffic {
  const { partitions, recordsPerRequest, isKeyed, lingerMs, commitMs } = workload;
  const requests = workload.recordsPerSecond / recordsPerRequest;
  const touched = isKeyed ? partitions * (1 - (1 - 1 / partitions) ** recordsPerRequest) : 1;
  const appends = (requests * touched) / partitions;
  const { rows, awake } = shareRows(appends, lingerMs / 1_000, commitMs / 1_000);
  const bytes = appends * bytesPerAppend(workload, recordsPerRequest / touched);
  return {
    ...{ requests, touched, appends, awake, bytes },
    rows: Math.max(rows, bytes / MAX_CHUNK_BYTES),
  };
}

export function linesOf(workload: Workload, counts: Counts): Line[] {
  const traffic = trafficOf(workload);
  return [
    ...producing(workload, traffic, counts),
    ...consuming(workload, traffic, counts),
    ...besides(workload, traffic, counts),
  ].filter(isAny);
}

function producing(workload: Workload, traffic: Traffic, counts: Counts): Line[] {
  const { topics, partitions, overSockets, lingerMs, commitMs, recordsPerRequest } = workload;
  const { requests, touched, appends, rows, awake, bytes } = traffic;
  const all = topics * partitions;
  const snapshots = (all * rows) / PRODUCER_SNAPSHOT_CHUNKS;
  const segments = (all * bytes) / workload.segmentBytes;
  return [
    {
      what: "requests to the Worker",
      arithmetic: overSockets
        ? "none, producers have sockets to the partitions"
        : `${show(topics * requests)}/s × ${workload.workerMsPerRequest} ms + ${show(recordsPerRequest)} records × ${workload.workerMsPerRecord} ms`,
      object: null,
      workerRequests: overSockets ? 0 : topics * requests,
      workerMs: overSockets
        ? 0
        : topics *
          requests *
          (workload.workerMsPerRequest + recordsPerRequest * workload.workerMsPerRecord),
    },
    {
      what: "appends",
      arithmetic:
        `${show(topics * requests)} requests/s × ${show(touched)} of ${partitions} partitions each; ` +
        `${show(appends)}/s in a partition, with ${lingerMs} ms of linger and ${commitMs} ms a commit ${show(rows)} rows/s`,
      object: "partition",
      rowsWritten: all * rows * counts.append.written,
      rowsRead: all * rows * counts.append.read,
      [overSockets ? "messages" : "calls"]: all * appends,
      awake: all * awake,
    },
    {
      what: "snapshots of producers",
      arithmetic: `1 per ${PRODUCER_SNAPSHOT_CHUNKS} rows`,
      object: "partition",
      rowsWritten: snapshots,
      rowsRead: snapshots,
    },
    {
      what: "segments that are closed, and dropped by an alarm",
      arithmetic: `${show(all * bytes)} bytes/s / ${workload.segmentBytes}`,
      object: "partition",
      rowsWritten: segments * (counts.roll.written + counts.drop.written + 1),
      rowsRead: segments * (counts.roll.read + counts.drop.read),
      alarms: segments,
    },
  ];
}

/** The members that have partitions. */
function membersOf({ membersPerGroup, partitions }: Workload): number {
  return Math.min(membersPerGroup, partitions);
}

export function commitsPerMember(workload: Workload, traffic: Traffic): number {
  const own = workload.partitions / membersOf(workload);
  const ownTouched = Math.max(1, (traffic.touched * own) / workload.partitions);
  return commitsOf({
    appends: traffic.appends,
    frames: traffic.rows,
    linger: workload.lingerMs / 1_000,
    independent: own / ownTouched,
    requests: traffic.appends * own,
    interval: workload.commitIntervalMs / 1_000,
  });
}

function consuming(workload: Workload, traffic: Traffic, counts: Counts): Line[] {
  const { topics, partitions, groups, handlerMs, sessionTimeoutMs } = workload;
  const { appends, rows, awake } = traffic;
  const all = topics * partitions;
  const isRead = groups > 0 && workload.membersPerGroup > 0;
  const frames = isRead ? all * groups * rows : 0;
  const members = topics * groups * membersOf(workload);
  const each = commitsPerMember(workload, traffic);
  const commits = members * each;
  const commitSeconds = workload.commitMs / 1_000;
  // They are heard from by a message for each frame, and by a pong.
  const heard = 1 / (2 / PING_SECONDS + rows);
  const silence = sessionTimeoutMs / 1_000 - Math.min(heard, sessionTimeoutMs / 2_000);
  const alarms = isRead ? (all * appends) / (1 + appends * silence) : 0;
  const safety = (topics * groups * counts.safetyAlarmsPerHour) / 3_600;
  return [
    {
      what: "room in windows, given back",
      arithmetic: `a message for each of ${show(rows)} frames/s × ${all} partitions × ${groups} groups`,
      object: "partition",
      messages: frames,
      awake: (frames * (1 - awake) * handlerMs) / 1_000,
    },
    {
      what: "commits",
      arithmetic: `${show(members)} members × one in ${show(each === 0 ? 0 : 1 / each)} s (${workload.commitIntervalMs} ms at most, or a partition idle for 250 ms)`,
      object: "group",
      rowsWritten: commits * counts.commit.written,
      rowsRead: commits * (counts.commit.read + counts.groupWakes.read),
      messages: commits,
      awake: commits * commitSeconds,
    },
    {
      what: "alarms of partitions that look for silent owners",
      arithmetic: `${all} partitions, one in ${show(all === 0 || alarms === 0 ? 0 : all / alarms)} s (session timeout ${sessionTimeoutMs} ms)`,
      object: "partition",
      rowsWritten: alarms * counts.ownerAlarm.written,
      rowsRead: alarms * counts.ownerAlarm.read,
      alarms,
      awake: alarms * (1 - awake) * commitSeconds,
    },
    {
      what: "safety alarms of groups",
      arithmetic: `${show(topics * groups)} groups × ${counts.safetyAlarmsPerHour} an hour`,
      object: "group",
      rowsWritten: safety,
      rowsRead: safety * counts.groupWakes.read,
      alarms: safety,
      awake: safety * commitSeconds,
    },
  ];
}

function besides(workload: Workload, traffic: Traffic, counts: Counts): Line[] {
  const { topics, isolates, handlerMs, overSockets, reconnectsPerMonth } = workload;
  const requests = overSockets ? 0 : traffic.requests;
  const perIsolate = requests / isolates;
  const kept = Math.min(1, METADATA_CACHE_TOPICS / topics);
  const asks = topics * requests * (1 - kept + kept / (1 + perIsolate * METADATA_SECONDS));
  const perKeys = API_KEY_AGE_MS / 1_000;
  const hasKeys = workload.isClosed ? 1 : 0;
  const shown = (topics * requests) / isolates;
  const keys = (hasKeys * isolates * shown) / (1 + shown * perKeys);
  const sockets = hasKeys * socketKeys(workload, traffic);
  const members = topics * workload.groups * workload.membersPerGroup;
  const readers = topics * workload.groups * workload.partitions;
  const breaks = reconnectsPerMonth / SECONDS_PER_MONTH;
  return [
    {
      what: "topics, asked of the cluster",
      arithmetic: `${show(topics)} topics in ${isolates} isolates, each once in ${METADATA_SECONDS} s; an isolate keeps ${METADATA_CACHE_TOPICS}`,
      object: "cluster",
      calls: asks,
      rowsRead: asks,
      awake: (asks * handlerMs) / 1_000,
    },
    {
      what: "API keys that have changed, asked of the cluster",
      arithmetic: `${isolates} isolates, each once in ${perKeys} s`,
      object: "cluster",
      calls: keys,
      rowsRead: keys,
      awake: (keys * handlerMs) / 1_000,
    },
    {
      what: "API keys of sockets, asked of the cluster",
      arithmetic: `once in ${SOCKET_KEY_AGE_MS / 1_000} s, and with the first message after an object has slept (${SLEEP_SECONDS} s)`,
      object: "cluster",
      calls: sockets,
      rowsRead: sockets,
      awake: (sockets * handlerMs) / 1_000,
    },
    {
      what: "members that connect again",
      arithmetic: `${show(members)} members, ${reconnectsPerMonth} times a month`,
      object: "group",
      rowsWritten: members * breaks * counts.comeBack.written,
      rowsRead: members * breaks * (counts.comeBack.read + counts.groupWakes.read),
      calls: members * breaks,
      messages: members * breaks,
      workerRequests: members * breaks,
      awake: (members * breaks * workload.commitMs) / 1_000,
    },
    {
      what: "readers that attach again",
      arithmetic: `${show(readers)} sockets to partitions, ${reconnectsPerMonth} times a month`,
      object: "partition",
      rowsWritten: readers * breaks * counts.attach.written,
      rowsRead: readers * breaks * counts.attach.read,
      calls: readers * breaks,
      messages: readers * breaks,
      workerRequests: readers * breaks,
      awake: (readers * breaks * workload.commitMs) / 1_000,
    },
  ];
}

/**
 * The rate at which objects ask the cluster about the API key of a socket. They ask with its first message in a while, and again in each life. An object with random messages finds that it has slept as often as a gap is longer than the time until it
 * sleeps.
 */
function socketKeys(workload: Workload, traffic: Traffic): number {
  const { topics, partitions, groups, overSockets } = workload;
  const asked = (messages: number, sleeps: number) =>
    Math.min(messages, 1_000 / SOCKET_KEY_AGE_MS + messages * sleeps);
  const { appends, rows } = traffic;
  const isRead = groups > 0;
  const sleeps = Math.exp(-appends * SLEEP_SECONDS);
  const readers = isRead ? groups * asked(rows, sleeps) : 0;
  const producers = overSockets ? asked(appends, sleeps) : 0;
  // A member that has records commits within its interval.
  const members = isRead ? groups * membersOf(workload) : 0;
  const silence = Math.max(0, SLEEP_SECONDS - workload.commitIntervalMs / 1_000);
  const groupSleeps = Math.exp(-traffic.requests * silence);
  const committers = members * asked(commitsPerMember(workload, traffic), groupSleeps);
  return topics * (partitions * (readers + producers) + committers);
}

function isAny(line: Line): boolean {
  return Object.values(line).some((value) => typeof value === "number" && value > 0);
}

/** The requests to objects that a line is billed for. */
export function requestsOf({ calls = 0, alarms = 0, messages = 0 }: Line): number {
  return calls + alarms + messages / MESSAGES_PER_REQUEST;
}

export function show(value: number): string {
  if (value === 0) return "0";
  if (value >= 1_000) return Math.round(value).toLocaleString("en");
  return String(Number(value.toPrecision(3)));
}
