// Sends a message to a webhook, signed as Standard Webhooks specify (https://www.standardwebhooks.com). With
// the secret, the receiver can verify the sender and the time, and recognize a repeat.
import { bodyOf, type Delivery } from "../../src/core/alerts/alert.ts";
import { fromBase64, toBase64 } from "../../src/core/bytes.ts";
import { WEBHOOK_TIMEOUT_MS } from "../../src/core/limits.ts";

const SECRET_BYTES = 24;
const SECRET_PREFIX = "whsec_";

/** Returns a new secret, in the form that webhook libraries accept. */
export function newSecret(): string {
  return SECRET_PREFIX + toBase64(crypto.getRandomValues(new Uint8Array(SECRET_BYTES)));
}

export interface WebhookAnswer {
  /** True if the webhook accepted the message: it answered 200 to 299. */
  readonly isTaken: boolean;
  readonly detail: string;
}

/** Sends one message. Never throws. A redirect counts as not accepted. */
export async function sendToWebhook(delivery: Delivery, nowMs: number): Promise<WebhookAnswer> {
  const { id, rule } = delivery;
  // AbortSignal.timeout would keep this object awake until it fires.
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), WEBHOOK_TIMEOUT_MS);
  try {
    const body = bodyOf(delivery);
    const timestamp = String(Math.floor(nowMs / 1_000));
    const signature = await signatureOf(rule.secret, `${id}.${timestamp}.${body}`);
    const response = await fetch(rule.webhook, {
      ...{ method: "POST", body, redirect: "manual" },
      headers: {
        "content-type": "application/json",
        "user-agent": "Rivulet",
        "webhook-id": id,
        "webhook-timestamp": timestamp,
        "webhook-signature": `v1,${signature}`,
      },
      signal: controller.signal,
    });
    await response.body?.cancel(); // Nobody reads it, and it may never end.
    return { isTaken: response.ok, detail: `it answered ${response.status}` };
  } catch (error) {
    // The runtime withholds some reasons.
    const why = (error as Error).message.replace(
      /internal error; reference = \w+/,
      "its name or its certificate is wrong",
    );
    return { isTaken: false, detail: `it cannot be reached: ${why}` };
  } finally {
    clearTimeout(timer);
  }
}

async function signatureOf(secret: string, text: string): Promise<string> {
  const bytes = fromBase64(secret.slice(SECRET_PREFIX.length));
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("raw", bytes, algorithm, false, ["sign"]);
  const signed = await crypto.subtle.sign("HMAC", key, new TextEncoder().encode(text));
  return toBase64(new Uint8Array(signed));
}
