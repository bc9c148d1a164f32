// Requests and responses as far as the program and its router use them. The platform's own read bodies in turns of the real
// event loop, which a simulation cannot have.

export interface RequestOptions {
  readonly method?: string;
  readonly headers?: Record<string, string> | Headers;
  readonly body?: string | Uint8Array;
}

export class SimulatedRequest {
  readonly url: string;
  readonly method: string;
  readonly headers: Headers;
  readonly body: SimulatedBody | null;

  constructor(url: string, options: RequestOptions = {}) {
    this.url = url;
    this.method = options.method ?? "GET";
    this.headers = new Headers(options.headers);
    const { body } = options;
    const bytes = typeof body === "string" ? new TextEncoder().encode(body) : body;
    this.body = bytes === undefined ? null : new SimulatedBody(bytes);
  }
}

/** A complete body, as a reader of bytes sees it. */
class SimulatedBody {
  #rest: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#rest = bytes;
  }

  getReader() {
    const read = async (target: Uint8Array) => {
      const value = target.subarray(0, Math.min(target.length, this.#rest.length));
      value.set(this.#rest.subarray(0, value.length));
      this.#rest = this.#rest.subarray(value.length);
      return { value, done: value.length === 0 };
    };
    return {
      read,
      readAtLeast: (_: number, target: Uint8Array) => read(target),
      cancel: async () => {},
    };
  }
}

interface ResponseOptions {
  readonly status?: number;
  readonly headers?: Record<string, string> | Headers;
  readonly webSocket?: unknown;
}

export class SimulatedResponse {
  readonly status: number;
  readonly headers: Headers;
  readonly webSocket: unknown;
  readonly #body: string;

  constructor(body: string | null = null, options: ResponseOptions = {}) {
    this.status = options.status ?? 200;
    this.headers = new Headers(options.headers);
    this.webSocket = options.webSocket ?? null;
    this.#body = body ?? "";
  }

  static json(value: unknown, options: ResponseOptions = {}): SimulatedResponse {
    return new SimulatedResponse(JSON.stringify(value), options);
  }

  /** The forms that a response can be made from. */
  get body(): string {
    return this.#body;
  }

  get ok(): boolean {
    return this.status >= 200 && this.status < 300;
  }

  async text(): Promise<string> {
    return this.#body;
  }

  async json(): Promise<unknown> {
    return JSON.parse(this.#body);
  }
}
