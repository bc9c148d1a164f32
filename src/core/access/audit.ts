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
  /** So many refusals of this principal before this one are not told. Tokens count as whoever made them. */
  readonly omitted?: number | undefined;
  /** So many refusals are not told of principals that are too many to be counted one by one. */
  readonly omittedOfOthers?: number | undefined;
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

export interface Adding {
  readonly isKept?: boolean;
  /** Who made the token that it came with. Whoever makes many tokens is one, whatever their subjects. */
  readonly madeBy?: string | undefined;
}

interface Told {
  sinceMs: number;
  count: number;
  omitted: number;
  /** The newest of those that are omitted. */
  newest: { readonly event: AuditEvent; readonly adding: Adding } | null;
}

/**
 * [AUD-2] Events on their way to where they are kept, of bounded number: AUDIT_RATE refusals of whoever is behind them within
 * AUDIT_RATE_MS and MAX_AUDIT_REFUSALS of all. Each of the others is counted, and told with a later one. Changes are all
 * told to the operator, and as many kept as there is room for, so that no refusals keep them out.
 */
export class AuditBuffer {
  #pending: AuditEvent[] = [];
  /** By whoever is behind the refusals. */
  readonly #told = new Map<string, Told>();
  /** The refusals of all that were told since then. */
  #all = { sinceMs: 0, count: 0 };
  /** Refusals of those who had to make room in `#told`. */
  #omittedOfOthers = 0;

  /**
   * Returns the event as it is told, or null if it is only counted. If it is not to be kept, it is told to the operator.
   */
  add(event: AuditEvent, nowMs: number, adding: Adding = {}): AuditEvent | null {
    const { isKept = true } = adding;
    const told = event.decision === "refused" ? this.#counted(event, adding, nowMs) : event;
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

  /** True if refusals were omitted and are in no line yet. */
  get owes(): boolean {
    return this.#told.values().some(({ omitted }) => omitted > 0);
  }

  /**
   * Adds the newest refusal of whoever had too many and has not come again since, with the number of the others: nobody
   * hides how much it has tried by stopping. Returns what is told.
   */
  addOwed(nowMs: number): AuditEvent[] {
    const owed = [...this.#told.values()].filter(
      ({ sinceMs }) => !isWithin(sinceMs, AUDIT_RATE_MS, nowMs),
    );
    return owed.flatMap((told) => {
      if (told.newest === null) return [];
      const { event, adding } = told.newest;
      told.omitted--; // It is counted again if there is no room for it either.
      return this.add(event, nowMs, adding) ?? [];
    });
  }

  #counted(event: AuditEvent, adding: Adding, nowMs: number): AuditEvent | null {
    const by = `${event.namespace ?? ""} ${adding.madeBy ?? event.principal}`;
    const told = this.#countedOf(by, nowMs);
    if (!isWithin(this.#all.sinceMs, AUDIT_RATE_MS, nowMs))
      this.#all = { sinceMs: nowMs, count: 0 };
    // Both bounds are looked at before anything is taken: what one of them holds back is still to be told.
    if (told.count >= AUDIT_RATE || this.#all.count >= MAX_AUDIT_REFUSALS) {
      told.omitted++;
      told.newest = { event, adding };
      return null;
    }
    told.count++;
    this.#all.count++;
    const { omitted } = told;
    const omittedOfOthers = this.#omittedOfOthers;
    told.omitted = 0;
    told.newest = null;
    this.#omittedOfOthers = 0;
    return {
      ...event,
      ...(omitted === 0 ? {} : { omitted }),
      ...(omittedOfOthers === 0 ? {} : { omittedOfOthers }),
    };
  }

  #countedOf(key: string, nowMs: number): Told {
    const known = this.#told.get(key);
    if (known !== undefined && isWithin(known.sinceMs, AUDIT_RATE_MS, nowMs)) return known;
    const { omitted = 0, newest = null } = known ?? {};
    const told: Told = { sinceMs: nowMs, count: 0, omitted, newest };
    this.#told.delete(key);
    this.#told.set(key, told);
    const [oldest] = this.#told;
    if (this.#told.size > MAX_AUDIT_PRINCIPALS && oldest !== undefined) {
      this.#told.delete(oldest[0]);
      this.#omittedOfOthers += oldest[1].omitted;
    }
    return told;
  }
}
