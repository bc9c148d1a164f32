// A workload as in its file. Each field has a bound, and an obvious default where there is one.
import { DEFAULT_TOPIC_CONFIG } from "../../src/core/cluster/config.ts";
import {
  DEFAULT_SESSION_TIMEOUT_MS,
  MAX_PARTITIONS_PER_TOPIC,
  MAX_RECORDS_PER_REQUEST,
  MAX_SESSION_TIMEOUT_MS,
  MAX_TOPICS,
  MIN_SEGMENT_BYTES,
  MIN_SESSION_TIMEOUT_MS,
} from "../../src/core/limits.ts";

export interface Workload {
  readonly name: string;
  readonly topics: number;
  /** Per topic, like everything up to `membersPerGroup`. */
  readonly partitions: number;
  readonly recordsPerSecond: number;
  readonly recordBytes: number;
  readonly keyBytes: number;
  /** Records of one request or socket message. */
  readonly recordsPerRequest: number;
  readonly isKeyed: boolean;
  readonly overSockets: boolean;
  /** `commit.linger.ms` */
  readonly lingerMs: number;
  readonly retentionDays: number;
  /** `retention.bytes` */
  readonly retentionBytes: number;
  readonly segmentBytes: number;
  readonly groups: number;
  readonly membersPerGroup: number;
  readonly commitIntervalMs: number;
  readonly sessionTimeoutMs: number;
  /** The share of invocations that are logged: `head_sampling_rate`. */
  readonly logSampling: number;
  // Assumptions.
  /** The broker is closed, and clients show API keys. */
  readonly isClosed: boolean;
  readonly isolates: number;
  /** The time that a write takes to be durable. */
  readonly commitMs: number;
  /** The time that an object is busy with a message or a call that writes nothing. */
  readonly handlerMs: number;
  readonly workerMsPerRequest: number;
  readonly workerMsPerRecord: number;
  /** The rate at which all sockets break, because machines are restarted or code is deployed. */
  readonly reconnectsPerMonth: number;
}

interface NumberField {
  readonly least: number;
  readonly most: number;
  readonly isWhole: boolean;
  readonly default?: number;
}

const HOUR_MS = 3_600_000;
const MAX_BYTES = 1_000_000;

function whole(least: number, most: number, byDefault?: number): NumberField {
  return field(least, most, true, byDefault);
}

function number(least: number, most: number, byDefault?: number): NumberField {
  return field(least, most, false, byDefault);
}

function field(least: number, most: number, isWhole: boolean, byDefault?: number): NumberField {
  return { least, most, isWhole, ...(byDefault === undefined ? {} : { default: byDefault }) };
}

const NUMBERS = {
  topics: whole(1, MAX_TOPICS, 1),
  partitions: whole(1, MAX_PARTITIONS_PER_TOPIC),
  recordsPerSecond: number(0, 1_000_000),
  recordBytes: whole(0, MAX_BYTES, 100),
  keyBytes: whole(0, MAX_BYTES, 10),
  recordsPerRequest: whole(1, MAX_RECORDS_PER_REQUEST, 1),
  lingerMs: whole(0, 1_000, 0),
  retentionDays: number(0, 3_650, 7),
  retentionBytes: whole(-1, Number.MAX_SAFE_INTEGER, DEFAULT_TOPIC_CONFIG.retentionBytes),
  segmentBytes: whole(MIN_SEGMENT_BYTES, 2_147_483_647, DEFAULT_TOPIC_CONFIG.segmentBytes),
  groups: whole(0, 1_000, 0),
  membersPerGroup: whole(1, 1_000, 1),
  commitIntervalMs: whole(1_000, HOUR_MS, 5_000),
  sessionTimeoutMs: whole(
    MIN_SESSION_TIMEOUT_MS,
    MAX_SESSION_TIMEOUT_MS,
    DEFAULT_SESSION_TIMEOUT_MS,
  ),
  logSampling: number(0, 1),
  isolates: whole(1, 100_000, 20),
  commitMs: number(0, 10_000, 30),
  handlerMs: number(0, 10_000, 1),
  workerMsPerRequest: number(0, 10_000, 1.5),
  workerMsPerRecord: number(0, 10_000, 0.02),
  reconnectsPerMonth: number(0, 1_000_000, 12),
} as const satisfies Partial<Record<keyof Workload, NumberField>>;

const BOOLEANS = { isKeyed: true, overSockets: false, isClosed: true } as const;

export class WorkloadError extends Error {}

/** Returns the workload. Throws a WorkloadError that names field, value and bound. */
export function parseWorkload(json: unknown, logSampling: number): Workload {
  if (typeof json !== "object" || json === null || Array.isArray(json))
    throw new WorkloadError(`a workload is an object, not ${JSON.stringify(json)}`);
  const given: Record<string, unknown> = { logSampling, ...json };
  const known = ["name", ...Object.keys(NUMBERS), ...Object.keys(BOOLEANS)];
  for (const name of Object.keys(given))
    if (!known.includes(name))
      throw new WorkloadError(`${name} is no field, the fields are ${known.join(", ")}`);
  if (typeof given.name !== "string" || given.name === "")
    throw new WorkloadError(`name is ${JSON.stringify(given.name)}, it must be text`);
  const fields: Record<string, unknown> = { name: given.name };
  for (const [name, bounds] of Object.entries<NumberField>(NUMBERS))
    fields[name] = numberIn(name, given[name] ?? bounds.default, bounds);
  for (const [name, byDefault] of Object.entries(BOOLEANS)) {
    const value = given[name] ?? byDefault;
    if (typeof value !== "boolean")
      throw new WorkloadError(`${name} is ${JSON.stringify(value)}, it must be true or false`);
    fields[name] = value;
  }
  return fields as unknown as Workload;
}

function numberIn(name: string, value: unknown, { least, most, isWhole }: NumberField): number {
  const isGood =
    typeof value === "number" && value >= least && value <= most && (!isWhole || value % 1 === 0);
  if (!isGood) {
    const bound = `it must be a ${isWhole ? "whole " : ""}number from ${least} to ${most}`;
    throw new WorkloadError(`${name} is ${JSON.stringify(value) ?? "missing"}, ${bound}`);
  }
  return value;
}
