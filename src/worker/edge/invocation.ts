// The remaining budget of an invocation of the Worker. A session (a plain WebSocket, an event stream, a
// connection of a Kafka client) is one invocation for its whole life. So is a request of any length. An
// invocation may make only a limited number of calls to objects and use only limited CPU (wrangler.toml,
// [limits]). The platform kills an invocation that exceeds a limit, and none of its code runs any more: no
// `finally`, no farewell. So a session ends itself before that, between two messages. Its client reconnects and
// gets a new invocation [SES-14].
//
//
// CPU is estimated from the work done, because the platform's clock stands still while code runs.
import {
  DEFAULT_SESSION_CPU_MS,
  MAX_INVOCATION_CALLS,
  MAX_SESSION_CPU_MS,
} from "../../core/limits.ts";
import type { Jurisdiction } from "../../core/placement.ts";
import type { ConsumerRecord } from "../../core/record.ts";
import type { Done, Env, Meter } from "../../env.ts";
import { type JsonRecord, toJsonRecord } from "../../protocol/json-record.ts";
import { recordBytes } from "./fetch.ts";

/**
 * The CPU of each kind of work, in nanoseconds. It was measured as the CPU time of workerd's process
 * (/proc/PID/schedstat), including the objects, and rounded up. `npm run bench -- cpu` compares.
 */
const CPU_NS: Readonly<Record<Done, number>> = {
  call: 200_000,
  message: 60_000,
  request: 120_000,
  record: 5_000,
  binary: 13_000, // The runtime detects it by an exception.
  batch: 1_000,
  field: 15,
  byte: 5,
};

const NS_PER_MS = 1_000_000;

interface Namespace {
  getByName(name: string, options?: object): unknown;
  jurisdiction(jurisdiction: Jurisdiction): Namespace;
}

export class Invocation implements Meter {
  readonly #maxCpuNs: number;
  readonly #spent = Promise.withResolvers<void>();
  #calls = 0;
  #cpuNs = 0;
  #isSpent = false;
  /** The bindings. Every call over them counts, and so do the messages of the sockets that they open. */
  readonly env: Env;

  constructor(env: Env) {
    this.#maxCpuNs = sessionCpuMs(env) * NS_PER_MS;
    const counted = <N extends Namespace>(namespace: N): N => {
      const getByName = (name: string, options?: object) => {
        this.#calls++;
        this.did("call");
        return namespace.getByName(name, options);
      };
      const jurisdiction = (name: Jurisdiction) => counted(namespace.jurisdiction(name));
      return { getByName, jurisdiction } as N;
    };
    this.env = {
      ...env,
      meter: this,
      CLUSTER: counted(env.CLUSTER),
      PARTITION: counted(env.PARTITION),
      GROUP: counted(env.GROUP),
      RELAY: counted(env.RELAY),
    };
  }

  did(what: Done, amount = 1): void {
    this.#cpuNs += amount * CPU_NS[what];
    this.#look();
  }

  /** Counts records that were decompressed. */
  didRecords(records: readonly ConsumerRecord[]): void {
    this.did("record", records.length);
    this.did(
      "byte",
      records.reduce((sum, record) => sum + recordBytes(record), 0),
    );
  }

  /** Returns a record as JSON, and counts the additional work. */
  jsonOf(record: ConsumerRecord): JsonRecord {
    const json = toJsonRecord(record);
    let binary = 0;
    if (json.keyBase64 !== undefined) binary++;
    if (json.valueBase64 !== undefined) binary++;
    for (const value of Object.values(json.headers).flat())
      if (value !== null && typeof value === "object") binary++;
    if (binary > 0) this.did("binary", binary);
    return json;
  }

  /** True if the invocation has to end. Its client reconnects, or asks for the rest. */
  get isSpent(): boolean {
    return this.#isSpent;
  }

  /** Resolves once the invocation has to end, but not before the current work is done. */
  get spent(): Promise<void> {
    return this.#spent.promise;
  }

  #look(): void {
    if (this.#calls < MAX_INVOCATION_CALLS && this.#cpuNs < this.#maxCpuNs) return;
    this.#isSpent = true;
    this.#spent.resolve();
  }
}

/** Returns the CPU that a session may use, in milliseconds. Infinity if there is no bound. */
function sessionCpuMs({ RIVULET_SESSION_CPU_MS: text, RIVULET_FILES }: Env): number {
  // Nobody limits the CPU of a broker on one's own machine.
  if (text === undefined || text === "")
    return RIVULET_FILES === undefined ? DEFAULT_SESSION_CPU_MS : Number.POSITIVE_INFINITY;
  const ms = Number(text);
  return ms >= 1 && ms <= MAX_SESSION_CPU_MS ? ms : DEFAULT_SESSION_CPU_MS;
}
