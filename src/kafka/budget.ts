// What one connection may cost. It is one invocation of the Worker for its whole life, and an invocation may call objects only
// so often (wrangler.toml, limits.subrequests).
import { MAX_KAFKA_CALLS } from "../core/limits.ts";
import type { Env } from "../env.ts";

type Namespace = { getByName(name: string): unknown };

export class CallBudget {
  #calls = 0;
  /** The bindings, each call over which counts. */
  readonly env: Env;

  constructor(env: Env) {
    const counted = <N extends Namespace>(namespace: N): N => {
      const getByName = (name: string) => {
        this.#calls++;
        return namespace.getByName(name);
      };
      return { getByName } as N;
    };
    this.env = {
      ...env,
      CLUSTER: counted(env.CLUSTER),
      PARTITION: counted(env.PARTITION),
      GROUP: counted(env.GROUP),
    };
  }

  /** The client is to connect again; it is a new invocation then. */
  get isSpent(): boolean {
    return this.#calls >= MAX_KAFKA_CALLS;
  }
}
