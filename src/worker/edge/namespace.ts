// Translates names into the caller's namespace and out of it: see core/access/namespace.ts. Every way in calls
// these functions when it reads or shows a name. In between, names are those of the whole deployment.
import { namespaceOf } from "../../core/access/caller.ts";
import {
  nameInside,
  nameOutside,
  patternInside,
  textOutside,
  WHOLE,
} from "../../core/access/namespace.ts";
import { BrokerError, type Result } from "../../core/errors.ts";
import { assignmentsInside, subscriptionsInside } from "../../core/group/classic-assignment.ts";
import { brokerError } from "../../core/platform-errors.ts";
import type { Env } from "../../env.ts";
import { callerIn } from "./authorize.ts";

function namespaceIn(env: Env): string {
  return namespaceOf(callerIn(env));
}

/** [TEN-2] Returns the name of a topic or group as it is in the whole deployment. */
export function inside(env: Env, name: string): string {
  return nameInside(namespaceIn(env), name);
}

/** [TEN-2] Returns the name as the caller writes it. */
export function outside(env: Env, name: string): string {
  return nameOutside(namespaceIn(env), name);
}

/** [TEN-2] Returns the pattern for names as they are in the whole deployment. */
export function insidePattern(env: Env, pattern: string): string {
  return patternInside(namespaceIn(env), pattern);
}

/**
 * [TEN-2] Returns copies of a classic member's subscriptions, with names as they are in the whole deployment.
 * Fails with INVALID_REQUEST if they are then too large. Without a namespace, the group checks the size.
 */
export function insideSubscriptions(env: Env, pieces: readonly Uint8Array[]) {
  return insidePieces(env, pieces, subscriptionsInside);
}

/** [TEN-2] Does the same with the leader's assignments. */
export function insideAssignments(env: Env, pieces: readonly Uint8Array[]) {
  return insidePieces(env, pieces, assignmentsInside);
}

function insidePieces(
  env: Env,
  pieces: readonly Uint8Array[],
  translate: typeof subscriptionsInside,
): Result<{ pieces: Uint8Array[] }> {
  const namespace = namespaceIn(env);
  if (namespace !== WHOLE) return translate(namespace, pieces);
  // Copies, because a view would take the whole request along in a call.
  return { ok: true, pieces: pieces.map((piece) => piece.slice()) };
}

/** [TEN-2] Returns the text with names as the caller writes them. */
export function outsideText(env: Env, text: string): string {
  return textOutside(namespaceIn(env), text);
}

/** [TEN-2] Returns the item with the name of its topic as the caller writes it. */
export function outsideTopic<Item extends { readonly topic: string }>(env: Env, item: Item): Item {
  return { ...item, topic: outside(env, item.topic) };
}

/** [TEN-2] Returns the refusal of a partition with names as the caller writes them. */
export function outsideRefusal<Item extends { readonly topic: string; readonly detail: string }>(
  env: Env,
  item: Item,
): Item {
  const namespace = namespaceIn(env);
  const { topic, detail } = item;
  return {
    ...item,
    topic: nameOutside(namespace, topic),
    detail: textOutside(namespace, detail),
  };
}

/** [TEN-2] Returns the error with names as the caller writes them. */
export function outsideError(env: Env, error: BrokerError): BrokerError;
export function outsideError(env: Env, error: unknown): unknown;
export function outsideError(env: Env, error: unknown): unknown {
  const namespace = namespaceIn(env);
  if (namespace === WHOLE) return error;
  const { code, message, data, retriable } = brokerError(error);
  if (code === "UNKNOWN_SERVER_ERROR") return error; // It contains no names, and its cause is logged.
  const { topic } = data;
  const named = topic === undefined ? {} : { topic: nameOutside(namespace, topic) };
  return new BrokerError(code, textOutside(namespace, message), {
    cause: error,
    data: { ...data, ...named },
    retriable,
  });
}
