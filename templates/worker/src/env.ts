import type { RivuletService } from "rivulet";
import type { Totals } from "./totals.ts";

/** The bindings of wrangler.toml. */
export interface Env {
  readonly RIVULET: RivuletService;
  readonly TOTALS: DurableObjectNamespace<Totals>;
}
