// The quota of callers without a quota of their own, as set by the variable RIVULET_QUOTA in JSON.
import * as z from "zod";
import type { Caller } from "../../core/access/caller.ts";
import type { Quota } from "../../core/access/quota.ts";
import { BrokerError } from "../../core/errors.ts";
import type { Env } from "../../env.ts";
import { parse, parseJson } from "../../protocol/parse.ts";
import { quotaSchema } from "../../protocol/tenancy.ts";

const VARIABLE = "RIVULET_QUOTA";

const variableSchema = z.object({ [VARIABLE]: quotaSchema });

function jsonIn(text: string): unknown {
  try {
    return parseJson(text, VARIABLE);
  } catch (error) {
    throw new BrokerError("INVALID_CONFIG", error instanceof Error ? error.message : String(error));
  }
}

/** The last parsed quota, and the text that it was parsed from. */
let known: { readonly text: string; readonly quota: Quota } | null = null;

/**
 * [QUO-1] Returns the caller with the deployment's quota, unless it has its own.
 * @throws BrokerError INVALID_CONFIG if the variable cannot be read
 */
export function withDefaultQuota({ RIVULET_QUOTA: text = "" }: Env, caller: Caller): Caller {
  if (text === "" || (caller.quota ?? caller.madeBy?.quota) !== undefined) return caller;
  if (known?.text !== text) {
    known = {
      text,
      quota: parse(variableSchema, { [VARIABLE]: jsonIn(text) }, "INVALID_CONFIG")[VARIABLE],
    };
  }
  return { ...caller, quota: known.quota };
}
