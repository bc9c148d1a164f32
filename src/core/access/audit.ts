// The audit log: who was refused what, and who changed what. It says nothing of tokens, keys or records.
import { isWithin } from "../elapsed.ts";
import {
  AUDIT_RATE,
  AUDIT_RATE_MS,
  MAX_AUDIT_PENDING,
  MAX_AUDIT_PRINCIPALS,
  MAX_AUDIT_REFUSALS,
  MAX_AUDIT_TEXT_CHARS,
} from "../limits.ts";
import type { ResourceType } from "./operations.ts";

/** The way in. The names are on disk. */
export type Way = "http" | "kafka" | "rpc" | "socket";

/** Where a request came from. What is not known is absent. */
export interface RequestFrom {
  readonly way: Way;
  readonly ip?: string | undefined;
  readonly userAgent?: string | undefined;
  readonly requestId?: string | undefined;
}

/** A line of the log. The names are on disk and on the wire. */
export interface AuditEvent extends RequestFrom {
  /** ISO 8601. */
  readonly at: string;
  readonly decision: "allowed" | "refused";
  /** The change that was made, such as createTopic, or the operation that was refused, such as READ. */
  readonly action: string;
  readonly resource: { readonly type: ResourceType | "key"; readonly name: string };
  readonly principal: string;
  /** The API key that it came with, or that made its token. Absent for the root's key and for tokens of others. */
  readonly keyId?: string | undefined;
  readonly namespace?: string | undefined;
  readonly detail?: string | undefined;
  /** So many refusals of this principal before this one are not told. */
  readonly omitted?: number | undefined;
}

/** A line as it is kept. */
export interface KeptEvent extends AuditEvent {
  /** Lines are numbered as they come. */
  readonly number: number;
}

/** Returns the event with texts of bounded length. */
export function bounded(event: AuditEvent): AuditEvent {
  const cut = (text: string | undefined) => text?.slice(0, MAX_AUDIT_TEXT_CHARS).toWellFormed();
  const { userAgent, detail, ip, requestId, resource } = event;
  return {
    ...event,
    resource: { ...resource, name: cut(resource.name) ?? "" },
    principal: cut(event.principal) ?? "",
    ...{ userAgent: cut(userAgent), detail: cut(detail), ip: cut(ip), requestId: cut(requestId) },
  };
}

interface Told {
  sinceMs: number;
  count: number;
  omitted: number;
}

/**
 * [AUD-2] Events on their way to where they are kept, of bounded number: AUDIT_RATE refusals of a principal within
 * AUDIT_RATE_MS and MAX_AUDIT_REFUSALS of all, the others counted. Changes are all told to the operator, and as many kept
 * as there is room for, so that no refusals keep them out.
 */
export class AuditBuffer {
  #pending: AuditEvent[] = [];
  readonly #told = new Map<string, Told>();
  /** The refusals of all that were told since then. */
  #all = { sinceMs: 0, count: 0 };

  /** Returns the event as it is told, or null if it is only counted. If it is not to be kept, it is told to the operator. */
  add(event: AuditEvent, nowMs: number, isKept = true): AuditEvent | null {
    const isRefusal = event.decision === "refused";
    const told = isRefusal ? this.#counted(event, nowMs) : event;
    if (told === null) return null;
    if (isKept && this.#pending.length < MAX_AUDIT_PENDING) this.#pending.push(told);
    return told;
  }

  /** Takes all that is on its way. */
  take(): AuditEvent[] {
    const taken = this.#pending;
    this.#pending = [];
    return taken;
  }

  #counted(event: AuditEvent, nowMs: number): AuditEvent | null {
    const own = this.#countedOf(event, nowMs);
    if (own === null) return null;
    if (!isWithin(this.#all.sinceMs, AUDIT_RATE_MS, nowMs))
      this.#all = { sinceMs: nowMs, count: 0 };
    return ++this.#all.count > MAX_AUDIT_REFUSALS ? null : own;
  }

  #countedOf(event: AuditEvent, nowMs: number): AuditEvent | null {
    const key = `${event.namespace ?? ""} ${event.principal}`;
    let told = this.#told.get(key);
    if (told === undefined || !isWithin(told.sinceMs, AUDIT_RATE_MS, nowMs)) {
      told = { sinceMs: nowMs, count: 0, omitted: told?.omitted ?? 0 };
      this.#told.delete(key);
      this.#told.set(key, told);
      const [oldest] = this.#told.keys();
      if (this.#told.size > MAX_AUDIT_PRINCIPALS && oldest !== undefined) this.#told.delete(oldest);
    }
    if (told.count >= AUDIT_RATE) {
      told.omitted++;
      return null;
    }
    told.count++;
    const { omitted } = told;
    told.omitted = 0;
    return omitted === 0 ? event : { ...event, omitted };
  }
}
