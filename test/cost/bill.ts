// The bill of a workload for a month, K2 and Queues beside it, and where the workload does not fit.
import { MAX_PARTITION_BYTES } from "../../src/core/limits.ts";
import {
  dollarsOf,
  K2,
  type Kind,
  OBJECT_GB,
  PLAN_DOLLARS,
  PRICES,
  QUEUES,
  SECONDS_PER_MONTH,
} from "../../src/core/metrics/prices.ts";
import type { Counts } from "./counts.ts";
import { type Line, linesOf, requestsOf, trafficOf } from "./rates.ts";
import { growth } from "./stored.ts";
import type { Workload } from "./workload.ts";

export interface Item {
  readonly count: number;
  readonly dollars: number;
}

/** The cost of another product for the same records. */
export interface Other {
  readonly dollars: number;
  readonly arithmetic: string;
  /** The part of the workload that it cannot do. */
  readonly notes: readonly string[];
  /** False if it is not available in this size at all. */
  readonly isPossible: boolean;
}

export interface Bill {
  readonly lines: readonly Line[];
  readonly items: Readonly<Record<Kind, Item>>;
  readonly plan: number;
  readonly total: number;
  /** The cost of logs of every invocation, which is the platform's default. */
  readonly logsOfAll: number;
  /** The part of the workload that the broker cannot do. It is billed all the same. */
  readonly unfit: readonly string[];
  readonly k2: Other;
  readonly queues: Other;
}

const DAY_SECONDS = 86_400;
const GB = 1e9;
/** The tables and indexes of an object that holds nothing yet. */
const EMPTY_PARTITION_BYTES = 60_000;
const EMPTY_GROUP_BYTES = 100_000;
/** "Around 200 to 500 requests a second with writes to storage" is the figure in the platform's guide for an object. */
const MAX_REQUESTS_PER_OBJECT = 500;

export function billOf(workload: Workload, counts: Counts): Bill {
  const lines = linesOf(workload, counts);
  const month = (rate: (line: Line) => number | undefined) =>
    lines.reduce((sum, line) => sum + (rate(line) ?? 0), 0) * SECONDS_PER_MONTH;
  const requests = month(requestsOf);
  const workerRequests = month((line) => line.workerRequests);
  // A message is an invocation, whatever it is billed as.
  const invocations =
    workerRequests + month(({ calls = 0, alarms = 0, messages = 0 }) => calls + alarms + messages);
  const amounts: Record<Kind, number> = {
    rowsWritten: month((line) => line.rowsWritten),
    rowsRead: month((line) => line.rowsRead),
    objectRequests: requests,
    duration: month((line) => line.awake) * OBJECT_GB,
    stored: storedBytes(workload) / GB,
    workerRequests,
    workerCpu: month((line) => line.workerMs),
    logs: invocations * workload.logSampling,
  };
  const kinds = Object.keys(PRICES) as Kind[];
  const items = Object.fromEntries(
    kinds.map((kind) => [kind, { count: amounts[kind], dollars: dollarsOf(kind, amounts[kind]) }]),
  ) as Record<Kind, Item>;
  return {
    ...{ lines, items, plan: PLAN_DOLLARS },
    total: PLAN_DOLLARS + kinds.reduce((sum, kind) => sum + items[kind].dollars, 0),
    logsOfAll: dollarsOf("logs", invocations),
    unfit: whatDoesNotFit(workload),
    k2: k2Of(workload),
    queues: queuesOf(workload),
  };
}

/** Returns the bytes of a partition's log when it has reached its retention. */
export function partitionBytes(workload: Workload): number {
  const kept = growth(trafficOf(workload)) * workload.retentionDays * DAY_SECONDS;
  const { retentionBytes } = workload;
  return retentionBytes === -1 ? kept : Math.min(kept, retentionBytes + workload.segmentBytes);
}

function storedBytes(workload: Workload): number {
  const { topics, partitions, groups } = workload;
  const partition = EMPTY_PARTITION_BYTES + partitionBytes(workload);
  return topics * (partitions * partition + groups * EMPTY_GROUP_BYTES);
}

function whatDoesNotFit(workload: Workload): string[] {
  const unfit: string[] = [];
  const bytes = partitionBytes(workload);
  const { partitions, retentionDays, retentionBytes, recordsPerSecond } = workload;
  const days = retentionDays * Math.min(1, MAX_PARTITION_BYTES / bytes);
  if (bytes > MAX_PARTITION_BYTES)
    unfit.push(
      `a partition would keep ${gigabytes(bytes)}, its bound is ${gigabytes(MAX_PARTITION_BYTES)}: ` +
        `${partitions} partitions keep ${days.toFixed(1)} days, not ${retentionDays}`,
    );
  const asked = growth(trafficOf(workload)) * retentionDays * DAY_SECONDS;
  if (retentionBytes !== -1 && asked > bytes && recordsPerSecond > 0)
    unfit.push(
      `retention.bytes (${gigabytes(retentionBytes)}) keeps ${((retentionDays * bytes) / asked).toFixed(1)} days, not ${retentionDays}`,
    );
  const { appends } = trafficOf(workload);
  if (appends > MAX_REQUESTS_PER_OBJECT)
    unfit.push(
      `a partition would get ${Math.round(appends)} requests a second, an object takes ${MAX_REQUESTS_PER_OBJECT}`,
    );
  return unfit;
}

function gigabytes(bytes: number): string {
  return `${(bytes / GB).toFixed(1)} GB`;
}

function contentPerSecond({ topics, recordsPerSecond, recordBytes, keyBytes, isKeyed }: Workload) {
  return topics * recordsPerSecond * (recordBytes + (isKeyed ? keyBytes : 0));
}

function k2Of(workload: Workload): Other {
  const { topics, groups, retentionDays } = workload;
  const perSecond = contentPerSecond(workload);
  const inGb = (perSecond * SECONDS_PER_MONTH) / GB;
  const keptGb = (perSecond * retentionDays * DAY_SECONDS) / GB;
  const notes = ["no keys, partitions or order among the readers of a subscription"];
  if (topics > K2.maxStreams) notes.push(`${topics} streams, an account has ${K2.maxStreams}`);
  if (keptGb > K2.maxStoredGb)
    notes.push(
      `${keptGb.toFixed(0)} GB kept, an account has ${K2.maxStoredGb} while it is in beta`,
    );
  if (retentionDays > K2.maxRetentionDays)
    notes.push(`${retentionDays} days kept, the bound is ${K2.maxRetentionDays}`);
  return {
    dollars: PLAN_DOLLARS + inGb * (K2.inPerGb + groups * K2.outPerGb) + keptGb * K2.storedPerGb,
    arithmetic: `${inGb.toFixed(0)} GB in, out ${groups} times, ${keptGb.toFixed(0)} GB kept`,
    notes,
    isPossible: topics <= K2.maxStreams && retentionDays <= K2.maxRetentionDays,
  };
}

function queuesOf(workload: Workload): Other {
  const { topics, recordsPerSecond, recordBytes, groups } = workload;
  const parts = Math.max(1, Math.ceil(recordBytes / QUEUES.operationBytes));
  const queues = Math.max(1, groups);
  const operations = 3 * parts * queues * topics * recordsPerSecond * SECONDS_PER_MONTH;
  const notes = ["no order, and nothing is kept once it is read"];
  if (groups > 1) notes.push(`a queue for each of ${groups} groups, as a queue has one consumer`);
  if (recordsPerSecond > QUEUES.maxPerSecond)
    notes.push(`${recordsPerSecond} records a second, a queue takes ${QUEUES.maxPerSecond}`);
  return {
    dollars: PLAN_DOLLARS + (Math.max(0, operations - QUEUES.included) / 1e6) * QUEUES.perMillion,
    arithmetic: `${Math.round(operations / 1e6).toLocaleString("en")} million operations: write, read, delete`,
    notes,
    isPossible: recordsPerSecond <= QUEUES.maxPerSecond,
  };
}
