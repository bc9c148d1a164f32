// Sockets with a token. Each is opened once its token is available, and reopened before the token expires. Clients with
// a token load this file. Code that all clients share is passed in.
import type { Socket, SocketEvents, Transport } from "../member/transport.ts";

/**
 * The characters that a subprotocol may contain. With others a WebSocket throws, and some runtimes would reveal the
 * token in the error.
 */
const FITS_A_SOCKET = /^[\w!#$%&'*+.^`|~-]+$/;

/** A new token is requested this long before the old one expires. */
const LEAD_MS = 60_000;
/** For a short-lived token: this part of its remaining life. */
const LEAD_PART = 0.2;
/** The broker accepts no token with a longer life. Timers cannot be much longer. */
const LONGEST_MS = 24 * 3_600_000;

/** The close codes of sockets, by these names (close-codes.ts, transport.ts). */
export interface Codes {
  readonly fatal: number;
  readonly lost: number;
  readonly renewed: number;
  readonly unauthenticated: number;
}

/** The same type as in token.ts. */
type Token = string | (() => string | Promise<string>);
type Open = (transport: Transport, events: SocketEvents) => Socket;

/** The sockets of one consumer or producer. */
export class TokenSockets {
  readonly #token: Token;
  readonly #transportWith: (token: string) => Transport;
  readonly #codes: Codes;
  /** The broker's reason when it last refused the credential of an open socket, until it answers on a later socket. */
  #refusal: string | null = null;

  constructor(token: Token, transportWith: (token: string) => Transport, codes: Codes) {
    this.#codes = codes;
    this.#token = token;
    this.#transportWith = transportWith;
  }

  /** True if the credential never changes. */
  get #isConstant(): boolean {
    return typeof this.#token === "string";
  }

  async #ask(): Promise<string> {
    return typeof this.#token === "string" ? this.#token : await this.#token();
  }

  readonly open = (events: SocketEvents, open: Open): Socket => {
    let socket: Socket | null = null;
    let isOpen = false;
    let isOver = false;
    let timer: unknown;
    /** Sockets that existed before the refusal are refused as well. That is no new information. */
    const isAfterRefusal = this.#refusal !== null;
    const end = (code: number, reason: string) => {
      clearTimeout(timer);
      if (isOver) return;
      isOver = true;
      const isRefused = code === this.#codes.unauthenticated;
      // [SDK-40] A retry cannot help. A socket that could not be opened does not report the reason.
      const isFinal = this.#isConstant && isAfterRefusal && (isRefused || !isOpen);
      const refusal = isFinal ? this.#refusal : null;
      if (isRefused) this.#refusal = reason;
      if (refusal !== null) events.closed(this.#codes.fatal, refusal);
      else events.closed(code, reason);
    };
    const renew = async (current: string) => {
      const next = await this.#ask().catch(() => current);
      if (next === current || isOver) return; // The broker closes the socket once the token has expired.
      end(this.#codes.renewed, "");
      socket?.close(this.#codes.lost, "the token expires soon");
    };
    const connect = async () => {
      const token = await this.#ask();
      if (isOver) return;
      if (!FITS_A_SOCKET.test(token)) throw new Error("a socket cannot carry this token");
      socket = open(this.#transportWith(token), {
        opened: () => {
          isOpen = true;
          if (!isOver) events.opened();
        },
        text: (data) => {
          if (isAfterRefusal) this.#refusal = null;
          if (!isOver) events.text(data);
        },
        bytes: (data) => {
          if (!isOver) events.bytes(data);
        },
        closed: end,
      });
      const waitMs = this.#isConstant ? null : renewalMs(token, Date.now(), Math.random());
      if (waitMs !== null && !isOver) timer = setTimeout(() => void renew(token), waitMs);
    };
    connect().catch((error) =>
      this.#isConstant
        ? end(this.#codes.fatal, `INVALID_REQUEST: ${error.message}`)
        : end(1006, `${error}`),
    );
    return {
      send: (data) => socket?.send(data),
      close: (code, reason) => {
        clearTimeout(timer);
        if (socket !== null) return socket.close(code, reason);
        if (!isOver) void Promise.resolve().then(() => events.closed(code, reason)); // Later, as a real socket does.
        isOver = true;
      },
    };
  };
}

/**
 * Returns the milliseconds until a new token should be requested. Null if that is unknown or in the past. It is
 * randomly a little earlier, so that many clients, and the sockets of one client, do not all ask at once.
 */
export function renewalMs(token: string, nowMs: number, random: number): number | null {
  const leftMs = expiryMs(token) - nowMs;
  const leadMs = Math.min(LEAD_MS, LEAD_PART * leftMs) * (1 + random / 2);
  const waitMs = leftMs - leadMs;
  return waitMs > 0 && waitMs <= LONGEST_MS ? waitMs : null;
}

/**
 * Returns the time at which a JWT expires, or NaN if the token does not contain it. Nothing is verified; the broker
 * does that.
 */
function expiryMs(token: string): number {
  try {
    const claims = (token.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/");
    const { exp } = JSON.parse(atob(claims)) as { exp?: unknown };
    return typeof exp === "number" ? exp * 1_000 : Number.NaN;
  } catch {
    return Number.NaN;
  }
}

declare const setTimeout: (callback: () => void, ms: number) => unknown;
declare const clearTimeout: (timer: unknown) => void;
