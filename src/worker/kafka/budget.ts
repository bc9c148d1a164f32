// Counts the calls of one connection. A connection is one invocation of the Worker for its whole life, and an
// invocation may make only so many calls to objects (wrangler.toml, limits.subrequests).
import { MAX_KAFKA_CALLS } from "../../core/limits.ts";
import type { Jurisdiction } from "../../core/placement.ts";
import type { Env } from "../../env.ts";

interface Namespace {
  getByName(name: string, options?: object): unknown;
  jurisdiction(jurisdiction: Jurisdiction): Namespace;
}

export class CallBudget {
  #calls = 0;
  /** The bindings. Every call over them counts. */
  readonly env: Env;

  constructor(env: Env) {
    const counted = <N extends Namespace>(namespace: N): N => {
      const getByName = (name: string, options?: object) => {
        this.#calls++;
        return namespace.getByName(name, options);
      };
      const jurisdiction = (name: Jurisdiction) => counted(namespace.jurisdiction(name));
      return { getByName, jurisdiction } as N;
    };
    this.env = {
      ...env,
      CLUSTER: counted(env.CLUSTER),
      PARTITION: counted(env.PARTITION),
      GROUP: counted(env.GROUP),
      RELAY: counted(env.RELAY),
    };
  }

  /** True if the client has to connect again. It then gets a new invocation. */
  get isSpent(): boolean {
    return this.#calls >= MAX_KAFKA_CALLS;
  }
}
