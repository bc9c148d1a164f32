// The SDK over a service binding, for Workers and Durable Objects. It is a separate entry, `rivulet/worker`, so the
// SDK's bundle does not include it.
//
//   const rivulet = new Rivulet(overBinding(env.RIVULET));
import type { Fetch } from "../admin/http.ts";
import type { RivuletService } from "../admin/service.ts";
import { ERRORS, isErrorName } from "../core/errors.ts";
import { socketProtocols } from "../protocol/paths.ts";
import type { RivuletOptions } from "./rivulet.ts";
import { BindingSocket } from "./transport/binding-socket.ts";

export { BindingSocket };

/** An address that is never contacted. Only path and query reach the broker, over the binding. */
const ADDRESS = "http://rivulet";

/** The lifetime of a token. */
const TOKEN_MS = 3_600_000;
/** A new token is made this long before the old one expires. Sockets request theirs up to 90 s before. */
const TOKEN_LEAD_MS = 120_000;
/** The time that the broker has to make a token. */
const MAKE_TIMEOUT_MS = 10_000;

/** Stands in for a token that the broker refuses to make. What carries it is answered here, with the refusal. */
const NO_TOKEN = "refused-by-the-broker";
const NO_TOKEN_HEADER = `Bearer ${NO_TOKEN}`;
const NO_TOKEN_PROTOCOLS = socketProtocols(NO_TOKEN).join(", ");

/**
 * Returns the options of a `Rivulet` that reaches the broker over a service binding (`entrypoint = "Rivulet"`). Its
 * requests and sockets have the principal in the binding's `props`, like `produce` and `admin`, by means of tokens that
 * it creates over the binding. Add a `token` of your own to act as another principal. A token creates no further tokens,
 * so call `createToken` on the binding's own `admin`.
 *
 * Sockets and requests belong to the event that opened them. So create the client in a handler or in a Durable Object,
 * not once for all requests of a Worker.
 */
export function overBinding(
  service: Pick<RivuletService, "fetch" | "admin">,
): Required<RivuletOptions> {
  const tokens = new BindingTokens(service);
  const request: Pick<RivuletService, "fetch"> = {
    fetch: async (sent) => {
      const { refusal } = tokens;
      if (refusal !== null && hasNoToken(sent)) return problemOf(refusal);
      const response = await service.fetch(sent);
      if (response.status === UNAUTHORIZED) tokens.forget();
      return response;
    },
  };
  return {
    url: ADDRESS,
    token: () => tokens.current(),
    fetch: ((url, init) => request.fetch(new Request(url, init as RequestInit))) as Fetch,
    WebSocket: class extends BindingSocket {
      constructor(url: string, protocols?: string[]) {
        super(request, url, protocols);
      }
    },
  };
}

const UNAUTHORIZED = 401;

function hasNoToken({ headers }: Request): boolean {
  return (
    headers.get("authorization") === NO_TOKEN_HEADER ||
    headers.get("sec-websocket-protocol") === NO_TOKEN_PROTOCOLS
  );
}

/** An error of the broker that a repeated call would get again. */
interface Refusal {
  readonly code: keyof typeof ERRORS;
  readonly detail: string;
}

/** The name of the error at the beginning of a message: see `RivuletService`. */
const NAMED = /^([A-Z_]+): /;

/** Returns the refusal in an error that a call over the binding threw. Null if the call may succeed later. */
function refusalIn(error: unknown): Refusal | null {
  const { message, retriable } = Object(error) as { message?: unknown; retriable?: unknown };
  const [prefix = "", code] = NAMED.exec(String(message)) ?? [];
  if (!isErrorName(code) || (retriable ?? ERRORS[code].retriable)) return null;
  return { code, detail: String(message).slice(prefix.length) };
}

/** Returns the answer of the HTTP API with this error. */
function problemOf({ code, detail }: Refusal): Response {
  const { code: errorCode, httpStatus: status } = ERRORS[code];
  return Response.json({ code, errorCode, detail, status, retriable: false }, { status });
}

/**
 * Tokens for the principal in the binding's `props`. One serves all requests and sockets until shortly before it
 * expires.
 */
class BindingTokens {
  readonly #service: Pick<RivuletService, "admin">;
  /** The error with which the broker last refused to make a token. */
  refusal: Refusal | null = null;
  #token: string | null = null;
  #renewAtMs = 0;
  /** The call that makes a token, while there is one, and when it began. All callers wait for it. */
  #making: Promise<string> | null = null;
  #makingSinceMs = 0;

  constructor(service: Pick<RivuletService, "admin">) {
    this.#service = service;
  }

  /** Returns the token, or NO_TOKEN if the broker refuses to make one. @throws Error if no call has made one in time */
  async current(): Promise<string> {
    const nowMs = Date.now();
    if (this.#token !== null && nowMs < this.#renewAtMs) return this.#token;
    // The timers of a call end with the event that made it, so its age counts too.
    if (this.#making === null || nowMs - this.#makingSinceMs >= MAKE_TIMEOUT_MS) this.#begin(nowMs);
    const making = this.#making as Promise<string>;
    try {
      return await within(making, MAKE_TIMEOUT_MS);
    } catch (error) {
      this.#end(making);
      const refusal = refusalIn(error);
      if (refusal === null) throw error;
      this.refusal = refusal;
      return NO_TOKEN;
    }
  }

  /** Makes the next request or socket get a new token, because this one was refused. */
  forget(): void {
    this.#token = null;
  }

  #begin(nowMs: number): void {
    const making = this.#make().then((token) => {
      if (this.#end(making)) {
        this.#token = token;
        this.#renewAtMs = nowMs + TOKEN_MS - TOKEN_LEAD_MS;
      }
      return token;
    });
    this.#making = making;
    this.#makingSinceMs = nowMs;
  }

  /** Ends the wait for a call. Returns false if another one has replaced it. */
  #end(making: Promise<string>): boolean {
    const isCurrent = this.#making === making;
    if (isCurrent) this.#making = null;
    return isCurrent;
  }

  async #make(): Promise<string> {
    // Awaited first, because wrangler's registry does not support method calls on a property.
    // The property itself throws if the binding's `props` are malformed.
    const admin = await this.#service.admin;
    try {
      return (await admin.createToken({ ttlMs: TOKEN_MS })).token;
    } finally {
      (admin as Partial<Disposable>)[Symbol.dispose]?.();
    }
  }
}

/** Waits for a promise. @throws Error if it is still open after this time */
function within<Value>(promise: Promise<Value>, ms: number): Promise<Value> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Error(`the broker has made no token within ${ms} ms`)),
      ms,
    );
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
