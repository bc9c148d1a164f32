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

test.each([
  ["http://broker.example", "curl http://broker.example/v1", "curl https://seen.example:8443/v1"],
  [
    "http://10.0.0.1:80",
    "RIVULET_URL=http://10.0.0.1:80\n",
    "RIVULET_URL=https://seen.example:8443\n",
  ],
  ["http://[::1]:8787", "url: 'http://[::1]:8787'", "url: 'https://seen.example:8443'"],
  ["http://broker.example", "http://broker.example:9092", "http://broker.example:9092"],
  ["http://broker.example", "http://brokerxexample", "http://brokerxexample"],
])("[DOC-7] of a page that is written for %s, %j becomes %j", (written, text, expected) => {
  expect(withOrigin(text, "https://seen.example:8443", written)).toBe(expected);
});

test("[DOC-7] a host name that a shell would read stays out of code that is written for another", () => {
  const text = "export RIVULET_URL=http://broker.example";
  expect(withOrigin(text, "https://$(touch).example", "http://broker.example")).toBe(text);
});
