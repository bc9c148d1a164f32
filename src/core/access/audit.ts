// The audit log: who was refused, and who changed something. It never contains tokens, keys or records.
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

/** The protocol by which a request came. The names are on disk. */
export type Way = "http" | "kafka" | "rpc" | "socket";

/** The origin of a request. Unknown facts are absent. */
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
  /**
   * The API key that the request used, or the key that made its token. Absent for the root key and for other issuers'
   * tokens.
   */
  readonly keyId?: string | undefined;
  readonly namespace?: string | undefined;
  readonly detail?: string | undefined;
  /**
   * The number of earlier refusals of this principal that were not reported. A token's refusals count as its maker's.
   */
  readonly omitted?: number | undefined;
  /** The number of unreported refusals of principals that were too many to be counted one by one. */
  readonly omittedOfOthers?: number | undefined;
}

/** A line as it is stored. */
export interface KeptEvent extends AuditEvent {
  /** Lines are numbered in the order in which they arrive. */
  readonly number: number;
}

/** Returns the event with its texts cut to a bounded length. */
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
  /** The maker of the request's token. All tokens of one maker count together, whatever their subjects. */
  readonly madeBy?: string | undefined;
}

interface Told {
  sinceMs: number;
  count: number;
  omitted: number;
  /** The newest refusal that was omitted. */
  newest: { readonly event: AuditEvent; readonly adding: Adding } | null;
}

/**
 * [AUD-2] Events on their way to storage, in bounded number. Within AUDIT_RATE_MS it reports AUDIT_RATE refusals of one
 * principal or token maker, and MAX_AUDIT_REFUSALS of all. Further refusals are counted, and a later line reports their
 * number. The operator sees every change. As many changes are stored as there is room for, so refusals cannot crowd
 * them out.
 */
export class AuditBuffer {
  #pending: AuditEvent[] = [];
  /** By the principal or token maker that was refused. */
  readonly #told = new Map<string, Told>();
  /** The refusals of all principals that were reported since then. */
  #all = { sinceMs: 0, count: 0 };
  /** The omitted refusals of principals that had to make room in `#told`. */
  #omittedOfOthers = 0;

  /**
   * Returns the event to report, or null if it is only counted. With `isKept` false it is reported to the operator
   * only.
   */
  add(event: AuditEvent, nowMs: number, adding: Adding = {}): AuditEvent | null {
    const { isKept = true } = adding;
    const told = event.decision === "refused" ? this.#counted(event, adding, nowMs) : event;
    if (told === null) return null;
    if (isKept && this.#pending.length < MAX_AUDIT_PENDING) this.#pending.push(told);
    return told;
  }

  /** Returns and removes all pending events. */
  take(): AuditEvent[] {
    const taken = this.#pending;
    this.#pending = [];
    return taken;
  }

  /** True if omitted refusals are not yet part of any line. */
  get owes(): boolean {
    return this.#told.values().some(({ omitted }) => omitted > 0);
  }

  /**
   * Adds the newest refusal of each principal that exceeded its rate and has been quiet since, with the number of the
   * others. Stopping thus hides nothing. Returns the reported events.
   */
  addOwed(nowMs: number): AuditEvent[] {
    const owed = [...this.#told.values()].filter(
      ({ sinceMs }) => !isWithin(sinceMs, AUDIT_RATE_MS, nowMs),
    );
    return owed.flatMap((told) => {
      if (told.newest === null) return [];
      const { event, adding } = told.newest;
      told.omitted--; // It is counted again if there is no room for it now.
      return this.add(event, nowMs, adding) ?? [];
    });
  }

  #counted(event: AuditEvent, adding: Adding, nowMs: number): AuditEvent | null {
    const by = `${event.namespace ?? ""} ${adding.madeBy ?? event.principal}`;
    const told = this.#countedOf(by, nowMs);
    if (!isWithin(this.#all.sinceMs, AUDIT_RATE_MS, nowMs))
      this.#all = { sinceMs: nowMs, count: 0 };
    // Both bounds are checked before either is used up. An event that one of them holds back must still be reported
    // later.
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
