// A standard WebSocket's events, as the SDK takes them.
import { expect, test } from "vitest";
import { listen, type StandardWebSocket } from "../../../src/member/transport.ts";

function listening() {
  const target = new EventTarget();
  const told: unknown[] = [];
  const socket = Object.assign(target, { binaryType: "blob", send: () => {}, close: () => {} });
  listen(socket as unknown as StandardWebSocket, {
    opened: () => told.push("opened"),
    text: (data) => told.push(data),
    bytes: (data) => told.push([...data]),
    closed: (code, reason) => told.push(`${code} ${reason}`),
  });
  const happens = (type: string, fields: object = {}) =>
    target.dispatchEvent(Object.assign(new Event(type), fields));
  return { socket, told, happens };
}

test("[SES-10] messages of a socket are reported in order, and its end once", () => {
  const { socket, told, happens } = listening();
  expect(socket.binaryType).toBe("arraybuffer");
  happens("open");
  happens("message", { data: "text" });
  happens("message", { data: Uint8Array.of(1, 2).buffer });
  happens("close", { code: 4001, reason: "gone" });
  happens("error");
  expect(told).toEqual(["opened", "text", [1, 2], "4001 gone"]);
});

test("[SES-10] an error ends a socket, and later messages are not reported", () => {
  const { told, happens } = listening();
  happens("error");
  happens("open");
  happens("message", { data: "text" });
  happens("message", { data: new ArrayBuffer(1) });
  happens("close", { code: 1006, reason: "" });
  expect(told).toEqual(["1006 connection failed"]);
});
