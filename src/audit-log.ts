// Tells the audit log of what happens in a Worker or an object: as a line for an operator, and as a row at the cluster,
// where admins read it. Nobody waits for that.
import { AuditBuffer, type AuditEvent, bounded, type RequestFrom } from "./core/access/audit.ts";
import type { Caller } from "./core/access/caller.ts";
import { isWithin } from "./core/elapsed.ts";
import { AUDIT_FLUSH_MS } from "./core/limits.ts";
import { clusterStub, type Env, isOpen } from "./env.ts";

/** The action of whoever has shown a wrong credential. */
export const LOG_IN = "logIn";

/** An event: a refusal or a change. */
export type Noted = Pick<AuditEvent, "decision" | "action" | "resource" | "detail">;

export class AuditLog {
  readonly #buffer = new AuditBuffer();
  /** When the flush began that is under way. Whoever began it may be cancelled, and its code then stops where it was. */
  #flushedMs: number | null = null;

  /** [AUD-1] Notes an event. [AUD-3] In an open broker, where everybody may do everything, there is nothing to note. */
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
    // Anybody could fill the log with those who have not said who they are.
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
   * Sends what has gathered. Refusals wait for others a while, so that many of them are one call, and for a line of those
   * that were too many.
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
        // The stub has noted why, and the lines stand in the operator's log.
      }
      // Another flush may have begun meanwhile, which sees to the rest.
      if (!this.#buffer.owes || this.#flushedMs !== null) return;
      this.#flushedMs = Date.now();
    }
  }
}

function printLine(event: AuditEvent): void {
  console.log(JSON.stringify({ audit: event }));
}

/** The log of this isolate: of the Worker, and of all objects that live in it, so that many of them tell no more than one. */
export const auditLog = new AuditLog();
