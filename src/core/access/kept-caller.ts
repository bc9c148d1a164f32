// A caller as stored in a socket's attachment: the bytes of its JSON. The platform bounds an attachment to 16,384
// bytes. A string with one character beyond Latin-1 would take two bytes for each of its characters there. UTF-8 has no
// such jump, so one bound applies wherever a credential is made.
import { type Failure, fail } from "../errors.ts";
import { MAX_CALLER_BYTES, MAX_QUOTA, MAX_TIMESTAMP_MS } from "../limits.ts";
import type { Caller } from "./caller.ts";

const decoder = new TextDecoder();

/** A socket's caller never changes, but its attachment is written often. */
const kept = new WeakMap<Caller, Uint8Array>();

export function bytesOfCaller(caller: Caller): Uint8Array {
  const bytes = kept.get(caller) ?? new TextEncoder().encode(JSON.stringify(caller)).slice();
  kept.set(caller, bytes);
  return bytes;
}

export function callerOfBytes(bytes: Uint8Array): Caller {
  return JSON.parse(decoder.decode(bytes)) as Caller;
}

/**
 * The largest values of the parts that may change while the grants stay. The deployment may add a quota to a caller
 * without one.
 */
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

/**
 * [ACL-9] Returns a failure if the caller is too large for a socket's attachment, or null. Its grants must already be
 * confined to its namespace.
 */
export function whyNotKept(caller: Caller): Failure | null {
  const bytes = bytesOfCaller({ ...caller, ...WIDEST }).length;
  if (bytes <= MAX_CALLER_BYTES) return null;
  const { principal, grants, namespace } = caller;
  const inEach = namespace === undefined ? "" : " with the namespace in each";
  const detail = `grants: ${principal}'s ${grants.length} grants${inEach} and the rest of its credential come to ${bytes} bytes, the bound is ${MAX_CALLER_BYTES}; give fewer or shorter grants`;
  return fail("INVALID_REQUEST", detail);
}
