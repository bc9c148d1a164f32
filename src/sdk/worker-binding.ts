// The SDK over a service binding, for Workers and Durable Objects. It is a separate entry, `rivulet/worker`, so the
// SDK's bundle does not include it.
//
//   const rivulet = new Rivulet(overBinding(env.RIVULET));
import type { Fetch } from "../admin/http.ts";
import type { RivuletService } from "../admin/service.ts";
import type { RivuletOptions } from "./rivulet.ts";
import { BindingSocket } from "./transport/binding-socket.ts";

export { BindingSocket };

/** An address that is never contacted. Only path and query reach the broker, over the binding. */
const ADDRESS = "http://rivulet";

/** The lifetime of a token. */
const TOKEN_MS = 3_600_000;
/** A new token is made this long before the old one expires. Sockets request theirs up to 90 s before. */
const TOKEN_LEAD_MS = 120_000;

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

/**
 * Tokens for the principal in the binding's `props`. One serves all requests and sockets until shortly before it
 * expires.
 */
class BindingTokens {
  readonly #service: Pick<RivuletService, "admin">;
  #token: Promise<string> | null = null;
  #renewAtMs = 0;

  constructor(service: Pick<RivuletService, "admin">) {
    this.#service = service;
  }

  current(): Promise<string> {
    if (this.#token !== null && Date.now() < this.#renewAtMs) return this.#token;
    this.#renewAtMs = Date.now() + TOKEN_MS - TOKEN_LEAD_MS;
    const token = this.#make();
    this.#token = token;
    token.catch(() => {
      if (this.#token === token) this.forget();
    });
    return token;
  }

  /** Makes the next request or socket get a new token, because this one was refused. */
  forget(): void {
    this.#token = null;
  }

  async #make(): Promise<string> {
    // Awaited first, because wrangler's registry does not support method calls on a property.
    const admin = await this.#service.admin;
    try {
      return (await admin.createToken({ ttlMs: TOKEN_MS })).token;
    } finally {
      (admin as Partial<Disposable>)[Symbol.dispose]?.();
    }
  }
}
