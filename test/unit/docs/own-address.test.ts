import { expect, test } from "vitest";
import { withOrigin } from "../../../src/docs/own-address.ts";

test.each([
  ["curl http://127.0.0.1:8787/v1/topics", "curl https://broker.example/v1/topics"],
  ['new WebSocket("ws://127.0.0.1:8787/v1")', 'new WebSocket("wss://broker.example/v1")'],
  ["http://127.0.0.1:8787 ws://127.0.0.1:8787", "https://broker.example wss://broker.example"],
  ["http://127.0.0.1:87871 127.0.0.1:9092", "http://127.0.0.1:87871 127.0.0.1:9092"],
])("[DOC-10] %s becomes %s", (text, expected) => {
  expect(withOrigin(text, "https://broker.example")).toBe(expected);
});
