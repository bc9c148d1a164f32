// Following a topic: which records are kept, which are skipped, and when a socket is opened.
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { NO_FILTER } from "../../../src/console/record-scan.ts";
import { follow, streamUrl } from "../../../src/console/tail.ts";
import { MAX_CHARS, MAX_ROWS, TailRows } from "../../../src/console/tail-rows.ts";
import type { JsonRecord } from "../../../src/protocol/json-record.ts";

const record = (offset: number, value = `v${offset}`): JsonRecord => ({
  offset,
  timestamp: offset,
  key: null,
  value,
  headers: {},
});
const records = (from: number, count: number) =>
  Array.from({ length: count }, (_, i) => record(from + i));

describe("the rows", () => {
  test("[CON-16] are the newest 500, newest first; earlier ones are skipped", () => {
    const rows = new TailRows(NO_FILTER);
    rows.begin(0, 10);
    rows.add(0, records(10, 600));
    expect(rows.records).toHaveLength(MAX_ROWS);
    expect(rows.records[0]?.offset).toBe(609);
    expect(rows.records.at(-1)?.offset).toBe(110);
    expect(rows.passed).toBe(100);
  });

  test("[CON-16] are fewer if they are long, and at least one", () => {
    const rows = new TailRows(NO_FILTER);
    rows.add(0, [record(0), record(1, "x".repeat(MAX_CHARS))]);
    expect(rows.records.map(({ offset }) => offset)).toEqual([1]);
    rows.add(0, [record(2)]);
    expect(rows.records.map(({ offset }) => offset)).toEqual([2]);
    expect(rows.passed).toBe(2);
  });

  test("[CON-16] records that arrived while nobody looked are skipped, in each partition", () => {
    const rows = new TailRows(NO_FILTER);
    rows.begin(0, 5);
    rows.begin(1, 0);
    rows.add(0, records(5, 3));
    rows.begin(0, 20);
    rows.begin(1, 7);
    expect(rows.passed).toBe(12 + 7);
    rows.begin(0, 20);
    expect(rows.passed).toBe(12 + 7);
  });

  test("[CON-16] are those that match", () => {
    const rows = new TailRows({ ...NO_FILTER, text: "V3" });
    rows.add(2, records(0, 10));
    expect(rows.records).toEqual([{ ...record(3), partition: 2 }]);
    expect(rows.passed).toBe(0);
  });
});

/** A socket that is not connected to anything. */
class FakeSocket extends EventTarget {
  static readonly opened: FakeSocket[] = [];
  readonly url: URL;
  readonly sent: string[] = [];
  closedWith: number | null = null;

  constructor(url: URL) {
    super();
    this.url = url;
    FakeSocket.opened.push(this);
  }

  send(text: string): void {
    this.sent.push(text);
  }

  close(code: number): void {
    this.closedWith = code;
  }

  say(message: object): void {
    this.dispatchEvent(Object.assign(new Event("message"), { data: JSON.stringify(message) }));
  }

  end(code: number, reason = ""): void {
    this.dispatchEvent(Object.assign(new Event("close"), { code, reason }));
  }
}

describe("the socket", () => {
  beforeEach(() => {
    FakeSocket.opened.length = 0;
    vi.useFakeTimers();
    vi.stubGlobal("WebSocket", FakeSocket);
  });
  afterEach(() => {
    vi.unstubAllGlobals();
    vi.useRealTimers();
  });

  const place = { origin: "http://localhost:1", topic: "t", partition: null, filter: NO_FILTER };

  function followed() {
    const rows = new TailRows(NO_FILTER);
    const errors: unknown[] = [];
    const problems: unknown[] = [];
    const stop = follow(place, rows, {
      onChange: () => {},
      onProblem: (error) => problems.push(error),
      onEnd: (error) => errors.push(error),
    });
    return { rows, errors, problems, stop };
  }

  const socket = (at: number) => {
    const found = FakeSocket.opened[at];
    if (found === undefined) throw new Error(`there is no socket ${at}`);
    return found;
  };

  test("[CON-16] reports what was taken in, and is closed when stopped", () => {
    const { rows, stop } = followed();
    socket(0).say({ type: "assigned", partitions: [{ topic: "t", partition: 0, offset: 3 }] });
    socket(0).say({ type: "records", topic: "t", partition: 0, records: records(3, 2) });
    expect(rows.records).toHaveLength(2);
    expect(socket(0).sent).toEqual(['{"type":"ack","topic":"t","partition":0,"offset":4}']);
    stop();
    expect(socket(0).closedWith).toBe(1000);
    socket(0).say({ type: "records", topic: "t", partition: 0, records: records(5, 1) });
    socket(0).end(1006);
    vi.advanceTimersByTime(60_000);
    expect(rows.records).toHaveLength(2);
    expect(FakeSocket.opened).toHaveLength(1);
  });

  test("[CON-16] is opened again when it breaks, and the gap is counted", () => {
    const { rows, stop } = followed();
    socket(0).say({ type: "assigned", partitions: [{ topic: "t", partition: 0, offset: 3 }] });
    socket(0).end(1006);
    vi.advanceTimersByTime(3_000);
    socket(1).say({ type: "assigned", partitions: [{ topic: "t", partition: 0, offset: 9 }] });
    expect(rows.passed).toBe(6);
    stop();
  });

  test.each([
    [4000, "UNKNOWN_TOPIC_ID: it was deleted"],
    [4005, "SASL_AUTHENTICATION_FAILED: the credential has expired"],
  ])("[CON-16] is not opened again after %d", (code, reason) => {
    const { errors, problems } = followed();
    socket(0).say({ type: "error", code: "X", errorCode: 1, retriable: true, detail: "later" });
    expect(problems).toEqual([]);
    socket(0).end(code, reason);
    vi.advanceTimersByTime(60_000);
    expect(errors).toEqual([new Error(reason)]);
    expect(FakeSocket.opened).toHaveLength(1);
  });

  test("[CON-16] asks the broker for keys and headers, if the broker can filter by them", () => {
    const urlOf = (partition: number | null, filter: Partial<typeof NO_FILTER>) =>
      streamUrl({ ...place, topic: "a b", partition, filter: { ...NO_FILTER, ...filter } }).href;
    expect(urlOf(null, {})).toBe("ws://localhost:1/v1/topics/a%20b/stream?ack=explicit");
    expect(urlOf(2, { key: "k&", headerName: "h", headerValue: "v" })).toBe(
      "ws://localhost:1/v1/topics/a%20b/stream?ack=explicit&partition=2&key=k%26&header.h=v",
    );
    expect(urlOf(null, { headerName: "h", text: "t" })).not.toMatch(/header|text/);
  });
});
