// A caller as a socket's attachment keeps it: the bytes of its JSON. The platform keeps an attachment of 16,384 bytes and
// no more, and in it a text with one letter beyond Latin-1 costs two bytes for each of its letters. UTF-8 costs what the
// text is, so one number tells what fits, wherever a credential is made.
import { type Failure, fail } from "../errors.ts";
import { MAX_CALLER_BYTES, MAX_QUOTA, MAX_TIMESTAMP_MS } from "../limits.ts";
import type { Caller } from "./caller.ts";

const decoder = new TextDecoder();

/** Who opens a socket keeps it for long, and the rest of its attachment is written often. */
const kept = new WeakMap<Caller, Uint8Array>();

export function bytesOfCaller(caller: Caller): Uint8Array {
  const bytes = kept.get(caller) ?? new TextEncoder().encode(JSON.stringify(caller)).slice();
  kept.set(caller, bytes);
  return bytes;
}

export function callerOfBytes(bytes: Uint8Array): Caller {
  return JSON.parse(decoder.decode(bytes)) as Caller;
}

/** The parts that may change while grants stay, at their largest: the deployment may give a quota to whoever has none. */
const WIDEST = {
  expiresAtMs: MAX_TIMESTAMP_MS,
  quota: {
    producerByteRate: MAX_QUOTA,
    consumerByteRate: MAX_QUOTA,
    requestRate: MAX_QUOTA,
    connections: MAX_QUOTA,
    dollarsPerDay: MAX_QUOTA,
  },
};

/** [ACL-9] Returns why no socket can keep the caller, or null. Its grants are confined to its name space already. */
export function whyNotKept(caller: Caller): Failure | null {
  const bytes = bytesOfCaller({ ...caller, ...WIDEST }).length;
  if (bytes <= MAX_CALLER_BYTES) return null;
  const { principal, grants, namespace } = caller;
  const inEach = namespace === undefined ? "" : " with the name space in each";
  const detail = `grants: ${principal}'s ${grants.length} grants${inEach} and the rest of its credential come to ${bytes} bytes, the bound is ${MAX_CALLER_BYTES}; give fewer or shorter grants`;
  return fail("INVALID_REQUEST", detail);
}
