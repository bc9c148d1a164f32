// Writes the audit log of a Worker or an object: a line for the operator, and a row at the cluster for admins. Requests
// do not wait for it.
import { AuditBuffer, type AuditEvent, bounded, type RequestFrom } from "./core/access/audit.ts";
import type { Caller } from "./core/access/caller.ts";
import { isWithin } from "./core/elapsed.ts";
import { AUDIT_FLUSH_MS } from "./core/limits.ts";
import { clusterStub, type Env, isOpen } from "./env.ts";

/** The action of a caller that has presented a wrong credential. The name is stored. */
export const LOG_IN = "logIn";

/** An event: a refusal or a change. */
export type Noted = Pick<AuditEvent, "decision" | "action" | "resource" | "detail">;

export class AuditLog {
  readonly #buffer = new AuditBuffer();
  /** The start of the current flush. The code that started it may be canceled, and then stops where it was. */
  #flushedMs: number | null = null;

  /** [AUD-1] Notes an event. [AUD-3] An open broker has nothing to note, because everybody may do everything. */
  note(
    env: Env,
    caller: Caller,
    from: RequestFrom,
    noted: Noted,
    waitUntil: (promise: Promise<unknown>) => void,
  ): void {
    if (isOpen(env)) return;
    const { principal, keyId, namespace, madeBy } = caller;
    const { way, ip, userAgent, requestId } = from;
    const at = new Date().toISOString();
    const who = { principal, keyId: keyId ?? madeBy?.keyId, namespace };
    const event = bounded({ at, ...noted, ...who, way, ip, userAgent, requestId });
    // Anybody could fill the log with unauthenticated requests.
    const isKept = noted.action !== LOG_IN;
    const told = this.#buffer.add(event, Date.now(), { isKept, madeBy: madeBy?.principal });
    if (told === null) return;
    printLine(told);
    if (!isKept) return;
    const nowMs = Date.now();
    if (this.#flushedMs !== null && isWithin(this.#flushedMs, 2 * AUDIT_FLUSH_MS, nowMs)) return;
    this.#flushedMs = nowMs;
    waitUntil(this.#flush(env, noted.decision === "allowed" ? 0 : AUDIT_FLUSH_MS));
  }

  /**
   * Sends the gathered events. Refusals wait a while for others, so that many share one call, and for a line that
   * reports those beyond the rate.
   */
  async #flush(env: Env, afterMs: number): Promise<void> {
    for (let waitMs = afterMs; ; waitMs = AUDIT_FLUSH_MS) {
      try {
        if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
      } finally {
        this.#flushedMs = null;
      }
      for (const told of this.#buffer.addOwed(Date.now())) printLine(told);
      const events = this.#buffer.take();
      try {
        if (events.length > 0) await clusterStub(env).noteAudit({ events });
      } catch {
        // The stub has noted the reason, and the lines are in the operator's log.
      }
      // Another flush may have started in the meantime, and handles the rest.
      if (!this.#buffer.owes || this.#flushedMs !== null) return;
      this.#flushedMs = Date.now();
    }
  }
}

function printLine(event: AuditEvent): void {
  console.log(JSON.stringify({ audit: event }));
}

/** The audit log of this isolate, for the Worker and all of its objects. Their refusals thus share one rate. */
export const auditLog = new AuditLog();
