// The SDK over a service binding: its sockets and its tokens, at a service that the test plays.
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { RivuletService } from "../../../src/admin/service.ts";
import { Rivulet } from "../../../src/sdk/rivulet.ts";
import { networkTransport } from "../../../src/sdk/transport/network.ts";
import { BindingSocket, overBinding } from "../../../src/sdk/worker-binding.ts";

/** The Worker's end of an accepted socket. */
class Accepted {
  binaryType = "";
  isAccepted = false;
  readonly sent: unknown[] = [];
  readonly closes: unknown[] = [];
  readonly #listeners: [string, (event: object) => void][] = [];

  accept(): void {
    this.isAccepted = true;
  }

  addEventListener(type: string, listener: (event: object) => void): void {
    this.#listeners.push([type, listener]);
  }

  send(data: unknown): void {
    this.sent.push(data);
  }

  close(...args: unknown[]): void {
    this.closes.push(args);
  }

  emit(type: string, event: object = {}): void {
    for (const [of, listener] of this.#listeners) if (of === type) listener(event);
  }
}

const upgraded = (webSocket: Accepted) => ({ status: 101, webSocket }) as unknown as Response;
const problem = (status: number, code: string, detail: string) =>
  Response.json({ code, detail, status, retriable: false }, { status });

/** A binding that answers each request with `answer`, and makes tokens t1, t2, … */
function serviceWith(answer: (request: Request) => Promise<Response> | Response) {
  const requests: Request[] = [];
  const made: { readonly ttlMs?: number }[] = [];
  let disposed = 0;
  const admin = {
    createToken: async (token: { ttlMs?: number }) => {
      made.push(token);
      return { token: `t${made.length}`, expiresAt: "" };
    },
    [Symbol.dispose]: () => disposed++,
  };
  const service = {
    fetch: async (request: Request) => {
      requests.push(request);
      return answer(request);
    },
    admin: Promise.resolve(admin),
  } as unknown as RivuletService;
  return { service, requests, made, disposed: () => disposed };
}

/** Opens a socket, and notes its events. */
function opened(service: RivuletService, protocols?: string[]) {
  const socket = new BindingSocket(service, "ws://rivulet/v1/groups/g/socket?v=1", protocols);
  const events: unknown[] = [];
  socket.addEventListener("open", () => events.push("open"));
  socket.addEventListener("message", ({ data }: { data: unknown }) => events.push(data));
  socket.addEventListener("close", ({ code, reason }: { code: number; reason: string }) =>
    events.push([code, reason]),
  );
  return { socket, events };
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

test("[RPC-8] a socket opens by an upgrade over the binding, with its path, query and subprotocols", async () => {
  const accepted = new Accepted();
  const { service, requests } = serviceWith(() => upgraded(accepted));
  const { socket, events } = opened(service, ["rivulet.v1", "rivulet.token.t"]);
  socket.binaryType = "arraybuffer";
  expect(socket.readyState).toBe(BindingSocket.CONNECTING);
  expect(() => socket.send("early")).toThrow("not open yet");
  await settled();
  expect(requests.map(({ url }) => url)).toEqual(["http://rivulet/v1/groups/g/socket?v=1"]);
  expect(requests[0]?.headers.get("upgrade")).toBe("websocket");
  expect(requests[0]?.headers.get("sec-websocket-protocol")).toBe("rivulet.v1, rivulet.token.t");
  expect(events).toEqual(["open"]);
  expect(socket.readyState).toBe(BindingSocket.OPEN);
  expect(accepted).toMatchObject({ isAccepted: true, binaryType: "arraybuffer" });
});

test("[RPC-8] data goes both ways, and the far end's close ends it once", async () => {
  const accepted = new Accepted();
  const { socket, events } = opened(serviceWith(() => upgraded(accepted)).service);
  await settled();
  socket.send("text");
  socket.send(Uint8Array.of(1));
  const bytes = Uint8Array.of(2).buffer;
  accepted.emit("message", { data: "answer" });
  accepted.emit("message", { data: bytes });
  accepted.emit("close", { code: 4001, reason: "fenced" });
  accepted.emit("error");
  socket.close();
  socket.send("late");
  expect(accepted.sent).toEqual(["text", Uint8Array.of(1)]);
  expect(accepted.closes).toEqual([]);
  expect(events).toEqual(["open", "answer", bytes, [4001, "fenced"]]);
  expect(socket.readyState).toBe(BindingSocket.CLOSED);
});

test("[RPC-8] a close reaches the far end, and is over when that has closed", async () => {
  const accepted = new Accepted();
  const { socket, events } = opened(serviceWith(() => upgraded(accepted)).service);
  await settled();
  socket.close(4004, "gone");
  socket.close(1000);
  socket.send("late");
  expect(socket.readyState).toBe(BindingSocket.CLOSING);
  expect(accepted.closes).toEqual([[4004, "gone"]]);
  expect(accepted.sent).toEqual([]);
  accepted.emit("close", { code: 4004, reason: "gone" });
  expect(events).toEqual(["open", [4004, "gone"]]);
});

test("[RPC-8] a connection that breaks without a close is closed with 1006", async () => {
  const accepted = new Accepted();
  const { events } = opened(serviceWith(() => upgraded(accepted)).service);
  await settled();
  accepted.emit("error");
  expect(events).toEqual(["open", [1006, "the connection broke"]]);
});

test("[RPC-8] a socket that is closed before it is open closes at once, and its late upgrade too", async () => {
  const accepted = new Accepted();
  let answer: (response: Response) => void = () => {};
  const answered = new Promise<Response>((resolve) => {
    answer = resolve;
  });
  const { socket, events } = opened(serviceWith(() => answered).service);
  socket.close(1000);
  await settled();
  expect(events).toEqual([[1006, "closed before it was open"]]);
  answer(upgraded(accepted));
  await settled();
  expect(accepted).toMatchObject({ isAccepted: true, closes: [[1000, "no longer wanted"]] });
  expect(events).toHaveLength(1);
});

test.each([
  {
    what: "a problem",
    answer: () => problem(404, "UNKNOWN_TOPIC_OR_PARTITION", "topic orders does not exist"),
    closed: [1006, "UNKNOWN_TOPIC_OR_PARTITION: topic orders does not exist"],
  },
  {
    what: "a refusal",
    answer: () => problem(403, "GROUP_AUTHORIZATION_FAILED", "READ on group g is missing"),
    closed: [4000, "GROUP_AUTHORIZATION_FAILED: READ on group g is missing"],
  },
  {
    what: "a problem with the request",
    answer: () => problem(400, "INVALID_GROUP_ID", "the name is empty"),
    closed: [4000, "INVALID_GROUP_ID: the name is empty"],
  },
  {
    what: "another response",
    answer: () => new Response("<html>", { status: 502 }),
    closed: [1006, "HTTP 502"],
  },
  {
    what: "a failing call",
    answer: () => Promise.reject(new Error("no such service")),
    closed: [1006, "no such service"],
  },
])("[RPC-8] $what in place of a socket is its close's reason", async ({ answer, closed }) => {
  const { events } = opened(serviceWith(answer).service);
  await settled();
  expect(events).toEqual([closed]);
});

const NOW_MS = Date.parse("2026-11-28T12:00:00Z");
beforeEach(() => void vi.useFakeTimers({ now: NOW_MS, toFake: ["Date"] }));
afterEach(() => void vi.useRealTimers());

const ok = () => Response.json({});
/** Sends a request as the SDK does, with its token in the header. */
async function requestOver({ fetch, token, url }: ReturnType<typeof overBinding>) {
  const bearer = typeof token === "string" ? token : await token();
  const headers = { authorization: `Bearer ${bearer}` };
  return fetch(`${url}/v1/topics`, { method: "GET", headers });
}

test("[RPC-7] one token serves requests and sockets, and another is made before it expires", async () => {
  const { service, requests, made, disposed } = serviceWith(ok);
  const options = overBinding(service);
  await Promise.all([requestOver(options), requestOver(options)]);
  expect(made).toEqual([{ ttlMs: 3_600_000 }]);
  expect(disposed()).toBe(1);
  // A socket asks 90 seconds before at the latest, and must get another one.
  vi.setSystemTime(NOW_MS + 3_600_000 - 121_000);
  await requestOver(options);
  vi.setSystemTime(NOW_MS + 3_600_000 - 119_000);
  await requestOver(options);
  const shown = requests.map(({ headers }) => headers.get("authorization"));
  expect(shown).toEqual(["Bearer t1", "Bearer t1", "Bearer t1", "Bearer t2"]);
});

test("[RPC-7] a token that the broker refuses, to a request or to a socket, is not shown again", async () => {
  let answer = () => problem(401, "SASL_AUTHENTICATION_FAILED", "the token has expired");
  const { service, made } = serviceWith(() => answer());
  const options = overBinding(service);
  expect((await requestOver(options)).status).toBe(401);
  await requestOver(options);
  expect(made).toHaveLength(2);
  answer = ok;
  await requestOver(options);
  expect(made).toHaveLength(3);
  await requestOver(options);
  expect(made).toHaveLength(3);
  answer = () => problem(401, "SASL_AUTHENTICATION_FAILED", "the token has expired");
  const reasons: string[] = [];
  const transport = networkTransport(options.url, options.WebSocket);
  transport.openGroup("g", {
    opened: () => {},
    text: () => {},
    bytes: () => {},
    closed: (_code, reason) => reasons.push(reason),
  });
  await settled();
  expect(reasons).toEqual(["SASL_AUTHENTICATION_FAILED: the token has expired"]);
  answer = ok;
  await requestOver(options);
  expect(made).toHaveLength(4);
});

test("[RPC-7] a token that cannot be made is asked for again", async () => {
  const { service } = serviceWith(ok);
  let fails = true;
  const admin = await service.admin;
  const create = admin.createToken.bind(admin);
  admin.createToken = (...args) =>
    fails ? Promise.reject(new Error("the broker is being deployed")) : create(...args);
  const options = overBinding(service);
  await expect(requestOver(options)).rejects.toThrow("being deployed");
  fails = false;
  expect((await requestOver(options)).status).toBe(200);
});

test("[RPC-7] a token that is never made is given up after 10 seconds, and asked for again", async () => {
  vi.useFakeTimers({ now: NOW_MS, toFake: ["Date", "setTimeout", "clearTimeout"] });
  const { service, made } = serviceWith(ok);
  const admin = await service.admin;
  const create = admin.createToken.bind(admin);
  let asked = 0;
  admin.createToken = () => {
    asked++;
    return new Promise(() => {});
  };
  const options = overBinding(service);
  const waiting = [requestOver(options), requestOver(options)].map((request) =>
    request.catch((error: Error) => error.message),
  );
  await settled();
  expect(asked).toBe(1);
  vi.advanceTimersByTime(10_000);
  expect(await Promise.all(waiting)).toEqual([
    "the broker has made no token within 10000 ms",
    "the broker has made no token within 10000 ms",
  ]);
  admin.createToken = create;
  expect((await requestOver(options)).status).toBe(200);
  expect((await requestOver(options)).status).toBe(200);
  expect(made).toHaveLength(1);
  expect(vi.getTimerCount()).toBe(0);
});

test("[RPC-7] a token is asked for again after 10 seconds if the event that asked for it is over", async () => {
  const { service, made } = serviceWith(ok);
  const admin = await service.admin;
  const create = admin.createToken.bind(admin);
  admin.createToken = () => new Promise(() => {});
  const options = overBinding(service);
  vi.useFakeTimers({ now: NOW_MS, toFake: ["Date", "setTimeout", "clearTimeout"] });
  void requestOver(options); // No timer of it fires.
  await settled();
  admin.createToken = create;
  vi.setSystemTime(NOW_MS + 10_000);
  expect((await requestOver(options)).status).toBe(200);
  expect(made).toHaveLength(1);
});

test.each([
  { what: "with its properties", properties: { code: "INVALID_REQUEST", retriable: false } },
  { what: "with its message only", properties: {} },
])(
  "[RPC-9] a refusal to make a token, $what, is the error of requests, and ends sockets",
  async ({ properties }) => {
    const { service, requests } = serviceWith(ok);
    const admin = await service.admin;
    const create = admin.createToken.bind(admin);
    let refuses = true;
    const refusal = Object.assign(new Error("INVALID_REQUEST: grants must be a list"), properties);
    admin.createToken = (...args) => (refuses ? Promise.reject(refusal) : create(...args));
    const rivulet = new Rivulet(overBinding(service));
    const error = {
      name: "BrokerError",
      code: "INVALID_REQUEST",
      message: "grants must be a list",
    };
    await expect(rivulet.admin.listTopics()).rejects.toMatchObject(error);
    // The producer would otherwise try again until its delivery timeout, and the consumer for ever.
    await expect(rivulet.producer.send("orders", [{ value: "a" }])).rejects.toMatchObject(error);
    const consumer = rivulet.consumer({ groupId: "g", topics: ["orders"] });
    await expect(consumer.run({ eachRecord: () => {} })).rejects.toMatchObject(error);
    expect(requests).toEqual([]);
    refuses = false;
    expect((await requestOver(overBinding(service))).status).toBe(200);
    await rivulet.admin.listTopics();
    expect(requests).toHaveLength(2);
  },
);

test("[RPC-9] a retriable error of the broker leaves the token to be asked for again", async () => {
  const { service } = serviceWith(ok);
  const admin = await service.admin;
  const busy = "THROTTLING_QUOTA_EXCEEDED: too many requests";
  admin.createToken = () => Promise.reject(new Error(busy));
  await expect(new Rivulet(overBinding(service)).admin.listTopics()).rejects.toMatchObject({
    name: "ConnectionError",
    message: expect.stringContaining(busy),
  });
});
