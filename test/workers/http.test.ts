// The HTTP contract, good and bad. For every bad request this checks the whole problem, and that nothing has changed.
// Topics, groups, offsets and log ends are the same before and after.

import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { exports } from "cloudflare:workers";
import { afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { compressor } from "../../src/compression/compress.ts";
import { configByKey, DEFAULT_TOPIC_CONFIG, resolveConfig } from "../../src/core/cluster/config.ts";
import { COMPRESSIONS } from "../../src/core/log/compression.ts";
import type { Compressor } from "../../src/core/log/record-batch.ts";
import { partitionForKey } from "../../src/core/partitioner.ts";
import { clusterStub, groupStub, partitionStub } from "../../src/env.ts";
import {
  type Answer,
  call,
  committedOffsets,
  createTopic,
  describeGroup,
  env,
  eventually,
  expectStatus,
  type Fetched,
  fetchRecords,
  guarded,
  ORIGIN,
  produce,
  readAs,
  recordBatch,
  TestSocket,
  type TopicJson,
  TWINS,
  unique,
} from "./support.ts";

afterEach(() => void vi.useRealTimers());

/** Kafka's numbers (clients/…/protocol/Errors.java), and which of them are retriable. */
const KAFKA = {
  OFFSET_OUT_OF_RANGE: { errorCode: 1, retriable: false },
  UNKNOWN_TOPIC_OR_PARTITION: { errorCode: 3, retriable: true },
  MESSAGE_TOO_LARGE: { errorCode: 10, retriable: false },
  INVALID_TOPIC_EXCEPTION: { errorCode: 17, retriable: false },
  INVALID_GROUP_ID: { errorCode: 24, retriable: false },
  TOPIC_ALREADY_EXISTS: { errorCode: 36, retriable: false },
  INVALID_PARTITIONS: { errorCode: 37, retriable: false },
  INVALID_CONFIG: { errorCode: 40, retriable: false },
  INVALID_REQUEST: { errorCode: 42, retriable: false },
  NON_EMPTY_GROUP: { errorCode: 68, retriable: false },
  GROUP_ID_NOT_FOUND: { errorCode: 69, retriable: false },
  INVALID_RECORD: { errorCode: 87, retriable: false },
} as const;
type Code = keyof typeof KAFKA;

interface Problem {
  readonly detail: string;
}

function expectProblem(answer: Answer<unknown>, status: number, code: Code, detail: RegExp): void {
  expect(answer).toMatchObject({
    status,
    contentType: "application/problem+json",
    body: {
      type: "about:blank",
      title: expect.stringMatching(/\w/),
      status,
      code,
      ...KAFKA[code],
    },
  });
  expect((answer.body as Problem).detail).toMatch(detail);
}

/** The subjects of the bad requests: topic `T` with 3 partitions, empty group `G`, group `M` with a member. */
let topic: TopicJson;
let group: string;
let crowded: string;

beforeAll(async () => {
  topic = await createTopic(3, { "max.message.bytes": 2_000 });
  for (const partition of [0, 1, 2])
    await produce(topic.name, [
      { value: "a", partition },
      { value: "b", partition },
    ]);
  group = unique("group");
  await readAs(group, topic, { 0: 1, 1: 2 });
});

/** A member that stays for the whole test. */
async function joinCrowded(): Promise<void> {
  known = null;
  crowded = unique("crowded");
  const member = await TestSocket.open<{ type: string }>(`/v1/groups/${crowded}/socket`);
  member.send({ type: "join", memberId: "m", memberEpoch: 0, topics: [topic.name] });
  await member.next((message): message is { type: string } => typeof message === "object");
}

async function everything(): Promise<unknown> {
  const cluster = clusterStub(env);
  const bounds = [0, 1, 2].map((index) => partitionStub(env, topic.topicId, index).offsets());
  return {
    topics: await cluster.topics(),
    groups: await cluster.groups(),
    bounds: (await Promise.all(bounds)).map((each) => ({ ...each })),
    offsets: await committedOffsets(group, topic.name),
  };
}

interface BadRequest {
  readonly what: string;
  readonly method?: string;
  /** `T` and `G` as a whole segment stand for the topic and the group. */
  readonly path: string;
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
  readonly status?: number;
  readonly code?: Code;
  readonly detail: RegExp;
}

/** `T` as a topic of a body stands for the topic too. */
function withNames(body: unknown): unknown {
  if (typeof body !== "object" || body instanceof Uint8Array) return body;
  return JSON.stringify(body).replaceAll('"T"', JSON.stringify(topic.name));
}

/** `everything` as the last bad request left it; null if something else has happened since. */
let known: unknown = null;

async function expectRefused(bad: BadRequest): Promise<void> {
  const { method = "GET", body, headers, status = 400, code = "INVALID_REQUEST", detail } = bad;
  const path = bad.path
    .replace(/(?<=topics\/|topics=)T\b/, topic.name)
    .replace(/(?<=groups\/)G\b/, group)
    .replace(/(?<=groups\/)M\b/, crowded);
  const before = known ?? (await everything());
  known = null;
  expectProblem(await call(method, path, withNames(body), headers), status, code, detail);
  const after = await everything();
  expect(after).toEqual(before);
  known = after;
}

function plan(
  ...entries: readonly (readonly [topic: string, partition: unknown, offset: unknown])[]
) {
  return entries.map(([topic, partition, offset]) => ({ topic, partition, offset }));
}

const NAME_OF_250 = "n".repeat(250);

describe("bad topics", () => {
  beforeAll(() => {
    known = null;
  });

  const create = (body: unknown) => ({ method: "POST", path: "/v1/topics", body });
  const name = "never-created";
  const config = (value: unknown) => create({ name, config: { "max.message.bytes": value } });
  const CASES: readonly BadRequest[] = [
    { what: "malformed JSON", ...create("{"), detail: /body is not JSON/ },
    { what: "no body", ...create(""), detail: /body is not JSON/ },
    { what: "a list", ...create([]), detail: /must be an object.*got \[\]/ },
    { what: "null", ...create("null"), detail: /must be an object.*got null/ },
    { what: "a number", ...create("5"), detail: /must be an object.*got 5/ },
    { what: "no name", ...create({}), detail: /^name: is required/ },
    { what: "a name that is a number", ...create({ name: 5 }), detail: /^name: .*string.*got 5/ },
    { what: "an unknown field", ...create({ name, partition: 3 }), detail: /unknown.*"partition"/ },
    ...["", ".", "..", "a b", "a/b", "ä", "a\u0000", NAME_OF_250].map((bad) => ({
      what: `the name ${JSON.stringify(bad).slice(0, 20)}`,
      ...create({ name: bad }),
      code: "INVALID_TOPIC_EXCEPTION" as const,
      detail: /name.*(1 to 249|may not be "\.+"|a-z, A-Z, 0-9)/,
    })),
    ...[0, -1, 1.5, 100_000].map((partitions) => ({
      what: `${partitions} partitions`,
      ...create({ name, partitions }),
      code: "INVALID_PARTITIONS" as const,
      detail: new RegExp(`partitions is ${partitions}, .*1 to 1000`),
    })),
    ...["3", null, [], true].map((partitions) => ({
      what: `partitions ${JSON.stringify(partitions)}`,
      ...create({ name, partitions }),
      detail: /^partitions: .*number.*got ("3"|null|\[\]|true)/,
    })),
    {
      what: "partitions beyond every number",
      ...create(`{"name":"${name}","partitions":1e999}`),
      detail: /^partitions: .*number/,
    },
    {
      what: "an unknown config key",
      ...create({ name, config: { "retention.min": 5 } }),
      code: "INVALID_CONFIG",
      detail: /"retention\.min".*max\.message\.bytes/,
    },
    ...[0, -1, 1_048_589, 1.5, "many", ""].map((value) => ({
      what: `max.message.bytes ${JSON.stringify(value)}`,
      ...config(value),
      code: "INVALID_CONFIG" as const,
      detail: new RegExp(`max\\.message\\.bytes is ${JSON.stringify(value)}, .*1 to 1048588`),
    })),
    ...[true, [], {}].map((value) => ({
      what: `max.message.bytes ${JSON.stringify(value)}`,
      ...config(value),
      detail: /max\.message\.bytes.*(number|string).*got (true|\[\]|\{\})/,
    })),
    {
      what: "config 5",
      ...create({ name, config: 5 }),
      detail: /^config: .*(object|record).*got 5/,
    },
  ];

  test.each(CASES)(
    "[ERR-1] a topic created with $what is rejected and changes nothing",
    expectRefused,
  );

  test("[ERR-1] an existing topic is not created again", async () => {
    await expectRefused({
      what: "",
      ...create({ name: topic.name, partitions: 9 }),
      status: 409,
      code: "TOPIC_ALREADY_EXISTS",
      detail: new RegExp(topic.name),
    });
  });

  const change = (body: unknown) => ({ method: "PATCH", path: "/v1/topics/T", body });
  const CHANGES: readonly BadRequest[] = [
    {
      what: "fewer partitions",
      ...change({ partitions: 2 }),
      code: "INVALID_PARTITIONS",
      detail: /partitions is 2, .*has 3.*grow/,
    },
    {
      what: "too many partitions",
      ...change({ partitions: 1001 }),
      code: "INVALID_PARTITIONS",
      detail: /1001.*1 to 1000/,
    },
    {
      what: "text for partitions",
      ...change({ partitions: "4" }),
      detail: /^partitions: .*got "4"/,
    },
    { what: "another name", ...change({ name: "other" }), detail: /unknown field "name"/ },
    { what: "malformed JSON", ...change("[1"), detail: /body is not JSON/ },
    {
      what: "a bad config value beside a good count",
      ...change({ partitions: 4, config: { "max.message.bytes": 0 } }),
      code: "INVALID_CONFIG",
      detail: /is 0, .*1 to 1048588/,
    },
    {
      what: "an unknown config key beside a good one",
      ...change({ config: { "max.message.bytes": 5, a: 1 } }),
      code: "INVALID_CONFIG",
      detail: /"a"/,
    },
  ];

  test.each(CHANGES)("[ERR-1] a topic is not changed to $what", expectRefused);

  const UNKNOWN = ["GET", "PATCH", "DELETE"].flatMap((method) => [
    {
      what: `${method} of an unknown topic`,
      method,
      path: "/v1/topics/nobody",
      ...(method === "PATCH" ? { body: { partitions: 4 } } : {}),
      status: 404,
      code: "UNKNOWN_TOPIC_OR_PARTITION" as const,
      detail: /nobody/,
    },
    ...["a%20b", "a%2Fb", "ä", NAME_OF_250].map((bad) => ({
      what: `${method} of the topic ${bad.slice(0, 10)}`,
      method,
      path: `/v1/topics/${bad}`,
      ...(method === "PATCH" ? { body: { partitions: 4 } } : {}),
      code: "INVALID_TOPIC_EXCEPTION" as const,
      detail: /name.*(1 to 249|a-z, A-Z, 0-9)/,
    })),
  ]);

  test.each(UNKNOWN)("[ERR-1] $what is rejected", expectRefused);

  test.each([
    ["GET", "/v1"],
    ["GET", "/v1/topic"],
    ["GET", "/v1/topics/../topics/T/nothing"],
  ])("[ERR-1] there is no %s %s", async (method, path) => {
    await expectRefused({
      what: "",
      method,
      path,
      status: 404,
      detail: new RegExp(`there is no ${method} /`),
    });
  });
});

describe("bad records", () => {
  beforeAll(() => {
    known = null;
  });

  const good = { value: "good", partition: 0 };
  const send = (body: unknown) => ({ method: "POST", path: "/v1/topics/T/records", body });
  /** The bad one is between good ones that would go to other partitions. */
  const among = (bad: unknown) => send({ records: [good, bad, { ...good, partition: 1 }] });
  const lines = (...body: readonly string[]) => ({
    ...send(body.join("\n")),
    headers: { "content-type": "application/x-ndjson" },
  });
  const CASES: readonly BadRequest[] = [
    { what: "malformed JSON", ...send("{"), detail: /body is not JSON/ },
    {
      what: "bytes that are not UTF-8",
      ...send(new Uint8Array([0x22, 0xff, 0x22])),
      detail: /UTF-8/,
    },
    { what: "a list for a body", ...send([good]), detail: /must be an object/ },
    { what: "no records", ...send({}), detail: /^records: is required/ },
    { what: "an empty list", ...send({ records: [] }), detail: /^records: .*at least 1.*got \[\]/ },
    {
      what: "an object for records",
      ...send({ records: {} }),
      detail: /^records: .*array.*got \{\}/,
    },
    { what: "text for records", ...send({ records: "x" }), detail: /^records: .*array.*got "x"/ },
    {
      what: "an unknown field beside records",
      ...send({ records: [good], acks: 1 }),
      detail: /unknown field "acks"/,
    },
    { what: "a record that is a number", ...among(5), detail: /^records\[1\]: .*object.*got 5/ },
    { what: "a record that is null", ...among(null), detail: /^records\[1\]: .*object.*got null/ },
    {
      what: "a record without value",
      ...among({ key: "k" }),
      detail: /^records\[1\]\.value: .*required.*valueBase64/,
    },
    {
      what: "value and valueBase64",
      ...among({ value: "a", valueBase64: "YQ==" }),
      detail: /^records\[1\]\.valueBase64: conflicts with value.*got "YQ=="/,
    },
    {
      what: "a tombstone with valueBase64",
      ...among({ value: null, valueBase64: "YQ==" }),
      detail: /^records\[1\]\.valueBase64: conflicts with value/,
    },
    {
      what: "key and keyBase64",
      ...among({ value: "a", key: "a", keyBase64: "YQ==" }),
      detail: /^records\[1\]\.keyBase64: conflicts with key/,
    },
    ...["*", "YQ", "Y Q=", "YQ==YQ==", 5, null].map((valueBase64) => ({
      what: `valueBase64 ${JSON.stringify(valueBase64)}`,
      ...among({ valueBase64 }),
      detail: /^records\[1\]\.valueBase64: .*(base64|string).*got/,
    })),
    {
      what: "bad keyBase64",
      ...among({ value: "a", keyBase64: "%%" }),
      detail: /^records\[1\]\.keyBase64: .*base64.*got "%%"/,
    },
    ...["1", -1, 1.5, null, 1_000].map((partition) => ({
      what: `partition ${JSON.stringify(partition)}`,
      ...among({ value: "a", partition }),
      detail: /^records\[1\]\.partition: .*0 to 999.*got ("1"|-1|1\.5|null|1000)/,
    })),
    ...[3, 99].map((partition) => ({
      what: `partition ${partition}, which the topic does not have`,
      ...among({ value: "a", partition }),
      status: 404,
      code: "UNKNOWN_TOPIC_OR_PARTITION" as const,
      detail: new RegExp(`records\\[1\\]\\.partition is ${partition}, .*0 to 2`),
    })),
    ...[-253_402_300_800_000, "x", 1e300, 1.5, null, 253_402_300_800_000].map((timestamp) => ({
      what: `timestamp ${JSON.stringify(timestamp)}`,
      ...among({ value: "a", timestamp }),
      detail: /^records\[1\]\.timestamp: .*-?\d+ to 253402300799999.*got/,
    })),
    ...[5, "x", [], null].map((headers) => ({
      what: `headers ${JSON.stringify(headers)}`,
      ...among({ value: "a", headers }),
      detail: /^records\[1\]\.headers: .*(object|record).*got (5|"x"|\[\]|null)/,
    })),
    ...[5, true, {}, { base64: "*" }, { base64: "YQ==", b: 1 }, ["ok", 5]].map((header) => ({
      what: `the header ${JSON.stringify(header)}`,
      ...among({ value: "a", headers: { h: header } }),
      detail: /^records\[1\]\.headers\.h\S*: .*(string, null|base64|unknown field "b")/,
    })),
    {
      what: "101 headers",
      ...among({ value: "a", headers: { h: Array(101).fill("x") } }),
      detail: /records\[1\].*headers.*101.*100/,
    },
    {
      what: "an unknown field",
      ...among({ value: "a", offset: 5 }),
      detail: /records\[1\].*"offset"/,
    },
    {
      what: "one record above max.message.bytes",
      ...among({ value: "x".repeat(2_000), partition: 2 }),
      status: 413,
      code: "MESSAGE_TOO_LARGE",
      detail: /records\[1\] has 2\d\d\d bytes.*max\.message\.bytes.*2000/,
    },
    {
      what: "100,001 records",
      ...send(`{"records":[${Array(100_001).fill('{"value":0}').join()}]}`),
      detail: /^records: .*at most 100000/,
    },
    {
      what: "a body of 17 MiB",
      ...send("x".repeat(17 * 1024 * 1024)),
      status: 413,
      code: "MESSAGE_TOO_LARGE",
      detail: /body has 17825792 bytes.*16777216/,
    },
    {
      what: "an unknown topic",
      ...send({ records: [good] }),
      path: "/v1/topics/nobody/records",
      status: 404,
      code: "UNKNOWN_TOPIC_OR_PARTITION",
      detail: /nobody/,
    },
    {
      what: "an illegal topic",
      ...send({ records: [good] }),
      path: "/v1/topics/a%2Fb/records",
      code: "INVALID_TOPIC_EXCEPTION",
      detail: /"a\/b"/,
    },
    {
      what: "an NDJSON line that is not JSON",
      ...lines('{"value":1}', '{"value":', '{"value":3}'),
      detail: /line 2 is not JSON/,
    },
    {
      what: "a bad NDJSON line behind an empty one",
      ...lines('{"value":1}', "", '{"value":'),
      detail: /line 3 is not JSON/,
    },
    {
      what: "an NDJSON line that is not a record",
      ...lines('{"value":1}', '{"key":"k"}'),
      detail: /^line 2: value.*required/,
    },
    { what: "NDJSON without a line", ...lines(""), detail: /at least 1 record/ },
    { what: "NDJSON of empty lines", ...lines("", " ", ""), detail: /at least 1 record/ },
    {
      what: "JSON sent as NDJSON",
      ...lines('{"records":[{"value":1}]}'),
      detail: /"records"|value.*required/,
    },
  ];

  test.each(CASES)("[PRD-4] $what rejects the whole request and stores nothing", expectRefused);
});

describe("bad reads", () => {
  beforeAll(() => {
    known = null;
  });

  const records = "/v1/topics/T/partitions/0/records";
  const offsets = "/v1/topics/T/partitions/0/offsets";
  const CASES: readonly BadRequest[] = [
    ...["records", "offsets", "socket"].flatMap((resource) => [
      ...["x", "-1", "1.5", "1e1", "99999999999999999999"].map((partition) => ({
        what: `${resource} of partition ${partition}`,
        path: `/v1/topics/T/partitions/${partition}/${resource}`,
        detail: new RegExp(`^partition: .*0 to \\d+.*got "${partition}"`),
      })),
      {
        what: `${resource} of a partition the topic does not have`,
        path: `/v1/topics/T/partitions/3/${resource}`,
        headers: { upgrade: "websocket" },
        status: 404,
        code: "UNKNOWN_TOPIC_OR_PARTITION" as const,
        detail: /partition is 3, .*0 to 2/,
      },
      {
        what: `${resource} of an unknown topic`,
        path: `/v1/topics/nobody/partitions/0/${resource}`,
        headers: { upgrade: "websocket" },
        status: 404,
        code: "UNKNOWN_TOPIC_OR_PARTITION" as const,
        detail: /nobody/,
      },
      {
        what: `${resource} of an illegal topic`,
        path: `/v1/topics/a%20b/partitions/0/${resource}`,
        headers: { upgrade: "websocket" },
        code: "INVALID_TOPIC_EXCEPTION" as const,
        detail: /"a b"/,
      },
    ]),
    ...["x", "-1", "1.5", "", "1e3", "9007199254740992"].map((offset) => ({
      what: `offset ${JSON.stringify(offset)}`,
      path: `${records}?offset=${offset}`,
      detail: new RegExp(`^offset: .*0 to 9007199254740991.*got "${offset}"`),
    })),
    ...["0", "10001", "x"].map((value) => ({
      what: `maxRecords ${value}`,
      path: `${records}?maxRecords=${value}`,
      detail: new RegExp(`^maxRecords: .*1 to 10000.*got "${value}"`),
    })),
    ...["0", "8388609", "-5"].map((value) => ({
      what: `maxBytes ${value}`,
      path: `${records}?maxBytes=${value}`,
      detail: new RegExp(`^maxBytes: .*1 to 8388608.*got "${value}"`),
    })),
    ...["-1", "30001", "1s"].map((value) => ({
      what: `waitMs ${value}`,
      path: `${records}?waitMs=${value}`,
      detail: new RegExp(`^waitMs: .*0 to 30000.*got "${value}"`),
    })),
    { what: "an unknown parameter", path: `${records}?ofset=1`, detail: /unknown.*"ofset"/ },
    {
      what: "a parameter given twice",
      path: `${records}?offset=0&offset=1`,
      detail: /^offset: .*once/,
    },
    ...["x", "", "-", "1.5", "99999999999999999", "2026-13-01", "tomorrow 1"].map((at) => ({
      what: `at ${JSON.stringify(at)}`,
      path: `${offsets}?at=${encodeURIComponent(at)}`,
      detail: new RegExp(`^at: .*earliest, latest, .*got "${at}"`),
    })),
    { what: "an unknown parameter of offsets", path: `${offsets}?to=1`, detail: /unknown.*"to"/ },
    {
      what: "deleting before nothing",
      method: "DELETE",
      path: records,
      detail: /^before: is required/,
    },
    ...["x", "-1", ""].map((before) => ({
      what: `deleting before ${JSON.stringify(before)}`,
      method: "DELETE",
      path: `${records}?before=${before}`,
      detail: new RegExp(`^before: .*0 to .*got "${before}"`),
    })),
    {
      what: "deleting beyond the end",
      method: "DELETE",
      path: `${records}?before=3`,
      status: 416,
      code: "OFFSET_OUT_OF_RANGE",
      detail: /before is 3.*2/,
    },
    {
      what: "a partition socket without an upgrade",
      path: "/v1/topics/T/partitions/0/socket",
      detail: /WebSocket/,
    },
  ];

  test.each(CASES)("[ERR-1] $what is rejected", expectRefused);

  test.each([
    { offset: 3, what: "beyond the end" },
    { offset: 0, what: "before the log start" },
  ])("[FCH-1] an offset $what is rejected with the log's bounds", async ({ offset }) => {
    const { name } = await createTopic(1);
    await produce(name, [{ value: "a" }, { value: "b" }]);
    await expectStatus(200, "DELETE", `/v1/topics/${name}/partitions/0/records?before=1`);
    const answer = await call("GET", `/v1/topics/${name}/partitions/0/records?offset=${offset}`);
    expectProblem(answer, 416, "OFFSET_OUT_OF_RANGE", new RegExp(`offset ${offset} .*1 to 2`));
    expect(answer.body).toMatchObject({ logStartOffset: 1, highWatermark: 2 });
  });
});

describe("bad groups", () => {
  beforeAll(() => {
    known = null;
  });

  const reset = (body: unknown) => ({ method: "POST", path: "/v1/groups/G/offsets", body });
  const to = (value: unknown) => reset({ to: value });
  const long = "g".repeat(256);
  const CASES: readonly BadRequest[] = [
    ...["GET", "DELETE", "POST"].flatMap((method) => {
      const body = method === "POST" ? { body: { to: "latest" } } : {};
      const suffix = method === "POST" ? "/offsets" : "";
      return [
        {
          what: `${method} of an unknown group`,
          method,
          path: `/v1/groups/nobody${suffix}`,
          ...body,
          status: 404,
          code: "GROUP_ID_NOT_FOUND" as const,
          detail: /nobody/,
        },
        {
          what: `${method} of a group id of 256 characters`,
          method,
          path: `/v1/groups/${long}${suffix}`,
          ...body,
          code: "INVALID_GROUP_ID" as const,
          detail: /256 characters.*1 to 255/,
        },
        {
          what: `${method} of a group id with a control character`,
          method,
          path: `/v1/groups/a%07b${suffix}`,
          ...body,
          code: "INVALID_GROUP_ID" as const,
          detail: /"a\\u0007b".*control/,
        },
      ];
    }),
    { what: "a reset of malformed JSON", ...reset("{"), detail: /body is not JSON/ },
    { what: "a reset of a list", ...reset([]), detail: /must be an object/ },
    {
      what: "a reset to nothing",
      ...reset({}),
      detail: /^to: .*"earliest", "latest".*got nothing/,
    },
    ...["yesterday", "P", "PT", "P1Y", -1, null].map((value) => ({
      what: `a reset by the duration ${JSON.stringify(value)}`,
      ...reset({ to: { duration: value } }),
      detail: /duration/,
    })),
    ...["middle", 5, null, {}, { offset: 1, shiftBy: 1 }, { before: 1 }].map((value) => ({
      what: `a reset to ${JSON.stringify(value)}`,
      ...to(value),
      detail:
        /^to.*"earliest", "latest", "current", \{offset\}, \{timestamp\}, \{duration\} or \{shiftBy\}; got/,
    })),
    ...[-1, 1.5, "1", null].map((offset) => ({
      what: `a reset to offset ${JSON.stringify(offset)}`,
      ...to({ offset }),
      detail: /^to.*offset.*0 to 9007199254740991.*got/,
    })),
    ...["x", "-x", 1.5, null, "tomorrow 1"].map((timestamp) => ({
      what: `a reset to timestamp ${JSON.stringify(timestamp)}`,
      ...to({ timestamp }),
      detail: /^to.*timestamp.*(milliseconds or an ISO time|0 to 9007199254740991).*got/,
    })),
    ...["1", 1.5, null].map((shiftBy) => ({
      what: `a reset by ${JSON.stringify(shiftBy)}`,
      ...to({ shiftBy }),
      detail: /^to.*shiftBy.*whole number.*got/,
    })),
    {
      what: "a reset of no topics",
      ...reset({ to: "latest", topics: [] }),
      detail: /^topics: .*1/,
    },
    {
      what: "a reset of text",
      ...reset({ to: "latest", topics: "x" }),
      detail: /^topics: .*array.*got "x"/,
    },
    {
      what: "a reset of a topic that does not exist",
      ...reset({ to: "latest", topics: ["nobody"] }),
      status: 404,
      code: "UNKNOWN_TOPIC_OR_PARTITION",
      detail: /nobody/,
    },
    {
      what: "a reset with dryRun yes",
      ...reset({ to: "latest", dryRun: "yes" }),
      detail: /^dryRun: .*boolean.*got "yes"/,
    },
    {
      what: "a reset with an unknown field",
      ...reset({ to: "latest", dryrun: true }),
      detail: /unknown field "dryrun"/,
    },
    ...[{ to: "latest" }, { topics: ["T"] }, { to: "latest", topics: ["T"] }].map((beside) => ({
      what: `a reset with a plan and ${Object.keys(beside).join(" and ")}`,
      ...reset({ offsets: plan(["T", 0, 0]), ...beside }),
      detail: /^offsets: must be given alone, without to and topics; got \[/,
    })),
    {
      what: "a reset of topics to nowhere",
      ...reset({ topics: ["T"] }),
      detail: /^to: must be "earliest".*unless offsets is given; got nothing/,
    },
    ...[[], 5, {}, null].map((offsets) => ({
      what: `a reset with the plan ${JSON.stringify(offsets)}`,
      ...reset({ offsets }),
      detail: /^offsets: must (name 1 to 10000 partitions|be an array); got/,
    })),
    {
      what: "a reset with a plan of 10,001 partitions",
      ...reset({ offsets: Array.from({ length: 10_001 }, (_, i) => plan(["T", i, 0])[0]) }),
      detail: /^offsets: must name 1 to 10000 partitions; got a list of 10001/,
    },
    ...[-1, 1.5, "1", null].flatMap((value) => [
      {
        what: `a plan with the offset ${JSON.stringify(value)}`,
        ...reset({ offsets: plan(["T", 0, 0], ["T", 1, value]) }),
        detail: /^offsets\[1\]\.offset: must be a whole number.*got/,
      },
      {
        what: `a plan with the partition ${JSON.stringify(value)}`,
        ...reset({ offsets: plan(["T", 0, 0], ["T", value, 1]) }),
        detail: /^offsets\[1\]\.partition: must be a whole number.*got/,
      },
    ]),
    {
      what: "a plan with a field it does not have",
      ...reset({ offsets: [{ topic: "T", partition: 0, offset: 0, to: 1 }] }),
      detail: /^offsets\[0\]: unknown field "to"/,
    },
    {
      what: "a plan without an offset",
      ...reset({ offsets: [{ topic: "T", partition: 0 }] }),
      detail: /^offsets\[0\]\.offset: must be a whole number.*got nothing/,
    },
    {
      what: "a plan that names a partition twice",
      ...reset({ offsets: plan(["T", 0, 0], ["T", 1, 0], ["T", 0, 1]) }),
      detail: /^offsets\[2\]: partition 0 of topic topic-.* is already in the plan/,
    },
    ...[false, true].flatMap((dryRun) => [
      {
        what: `a plan with a partition that does not exist, dryRun ${dryRun}`,
        ...reset({ offsets: plan(["T", 0, 0], ["T", 3, 0]), dryRun }),
        status: 404,
        code: "UNKNOWN_TOPIC_OR_PARTITION" as const,
        detail: /partition 3 of topic topic-.* does not exist, it has 3/,
      },
      {
        what: `a plan with a topic that does not exist, dryRun ${dryRun}`,
        ...reset({ offsets: plan(["T", 0, 0], ["nobody", 0, 0]), dryRun }),
        status: 404,
        code: "UNKNOWN_TOPIC_OR_PARTITION" as const,
        detail: /nobody/,
      },
    ]),
    {
      what: "a plan for an unknown group",
      ...reset({ offsets: plan(["T", 0, 0]) }),
      path: "/v1/groups/nobody/offsets",
      status: 404,
      code: "GROUP_ID_NOT_FOUND",
      detail: /nobody/,
    },
    {
      what: "a config with the key __proto__",
      method: "PATCH",
      path: "/v1/groups/proto",
      body: JSON.parse('{"config":{"__proto__":{"a":1}}}'),
      detail: /^config: must not have a key __proto__/,
    },
    {
      what: "a config whose value is huge",
      method: "PATCH",
      path: "/v1/groups/huge",
      body: { config: { "group.max.size": "x".repeat(100_000) } },
      code: "INVALID_CONFIG",
      detail: /^config group.max.size is "x{79}…, it must be a whole number from 1 to 1000$/,
    },
    ...["/v1/groups/%", "/v1/groups/%zz", "/v1/topics/%ff", "/v1/groups/%ED%A0%80"].map((path) => ({
      what: `the path ${path}`,
      path,
      detail: /^the path "\/v1\/.*" is not percent-encoded UTF-8$/,
    })),
    { what: "a group socket without an upgrade", path: "/v1/groups/G/socket", detail: /WebSocket/ },
    {
      what: "a group socket of a group id of 256 characters",
      path: `/v1/groups/${long}/socket`,
      headers: { upgrade: "websocket" },
      code: "INVALID_GROUP_ID",
      detail: /256.*1 to 255/,
    },
  ];

  test.each(CASES)("[ERR-1] $what is rejected", expectRefused);

  test.each(TWINS)(
    "[GRP-10] [OFF-8] a group with a member is neither reset nor deleted$when",
    async ({ interrupt }) => {
      await joinCrowded();
      await interrupt(groupStub(env, crowded));
      const refused = { status: 409, code: "NON_EMPTY_GROUP", detail: /1 member\(s\)/ } as const;
      await expectRefused({ what: "", method: "DELETE", path: "/v1/groups/M", ...refused });
      const resets = [{ to: "latest" }, { offsets: plan(["T", 0, 0]) }];
      for (const body of resets.flatMap((each) => [each, { ...each, dryRun: true }])) {
        await expectRefused({
          what: "",
          method: "POST",
          path: "/v1/groups/M/offsets",
          body,
          ...refused,
        });
      }
      expect((await describeGroup(crowded)).members).toHaveLength(1);
    },
  );

  test.each(TWINS)(
    "[GRP-10] an empty group is deleted and unknown from then on$when",
    async ({ interrupt }) => {
      const doomed = unique("doomed");
      await readAs(doomed, topic, { 0: 1 });
      await interrupt(groupStub(env, doomed));
      await expectStatus(204, "DELETE", `/v1/groups/${doomed}`);
      await interrupt(groupStub(env, doomed));
      const unknown = await call("GET", `/v1/groups/${doomed}`);
      expectProblem(unknown, 404, "GROUP_ID_NOT_FOUND", new RegExp(doomed));
      const { groups } = await expectStatus<{ groups: object[] }>(200, "GET", "/v1/groups");
      expect(groups).not.toContainEqual({ groupId: doomed });
      expect(groups).toContainEqual({ groupId: group });
    },
  );
});

describe("bad plain consumers", () => {
  beforeAll(() => {
    known = null;
  });

  const consume = (query: string) => ({
    path: `/v1/groups/G/consume${query}`,
    headers: { upgrade: "websocket" },
  });
  const CASES: readonly BadRequest[] = [
    {
      what: "without topics",
      ...consume(""),
      detail: /^topics: .*at least one topic.*got nothing/,
    },
    {
      what: "with an unknown topic",
      ...consume("?topics=nobody"),
      status: 404,
      code: "UNKNOWN_TOPIC_OR_PARTITION",
      detail: /nobody/,
    },
    {
      what: "with an unknown topic behind a known one",
      ...consume("?topics=T,nobody"),
      status: 404,
      code: "UNKNOWN_TOPIC_OR_PARTITION",
      detail: /nobody/,
    },
    ...["", "a,,b", "a%20b", "a/b", NAME_OF_250].map((names) => ({
      what: `with the topics ${JSON.stringify(names).slice(0, 12)}`,
      ...consume(`?topics=${names}`),
      detail: /^topics: .*name.*(1 to 249|a-z, A-Z, 0-9)/,
    })),
    {
      what: "with 101 topics",
      ...consume(`?topics=${Array.from({ length: 101 }, (_, index) => `t${index}`)}`),
      detail: /^topics: .*101.*100/,
    },
    {
      what: "with ack maybe",
      ...consume("?topics=T&ack=maybe"),
      detail: /^ack: .*explicit, auto.*"maybe"/,
    },
    {
      what: "from 5",
      ...consume("?topics=T&from=5"),
      detail: /^from: .*earliest, latest.*got "5"/,
    },
    ...["0", "10001", "x", "-1", ""].map((window) => ({
      what: `with window ${JSON.stringify(window)}`,
      ...consume(`?topics=T&window=${window}`),
      detail: new RegExp(`^window: .*1 to 10000.*got "${window}"`),
    })),
    ...["999", "1800001", "45s"].map((value) => ({
      what: `with sessionTimeoutMs ${value}`,
      ...consume(`?topics=T&sessionTimeoutMs=${value}`),
      detail: new RegExp(`^sessionTimeoutMs: .*1000 to 1800000.*got "${value}"`),
    })),
    ...["0", "999", "3600001", "5s"].map((value) => ({
      what: `with commitIntervalMs ${value}`,
      ...consume(`?topics=T&commitIntervalMs=${value}`),
      detail: new RegExp(`^commitIntervalMs: .*1000 to 3600000.*got "${value}"`),
    })),
    {
      what: "with an empty instanceId",
      ...consume("?topics=T&instanceId="),
      detail: /^instanceId: .*1/,
    },
    {
      what: "with a clientId of 256 characters",
      ...consume(`?topics=T&clientId=${"c".repeat(256)}`),
      detail: /^clientId: .*255/,
    },
    {
      what: "with an unknown parameter",
      ...consume("?topics=T&acks=1"),
      detail: /unknown.*"acks"/,
    },
    {
      what: "without an upgrade",
      path: "/v1/groups/G/consume?topics=T",
      detail: /WebSocket/,
    },
    {
      what: "with a group id of 256 characters",
      ...consume("?topics=T"),
      path: `/v1/groups/${"g".repeat(256)}/consume?topics=T`,
      code: "INVALID_GROUP_ID",
      detail: /256.*1 to 255/,
    },
  ];

  test.each(CASES)("[ERR-1] a plain consumer $what is rejected", expectRefused);
});

describe("producing", () => {
  const ROUND_TRIPS: readonly { what: string; sent: object; read: object }[] = [
    { what: "text", sent: { value: "päper ✓ 😀" }, read: { value: "päper ✓ 😀" } },
    { what: "empty text", sent: { value: "" }, read: { value: "" } },
    { what: "a byte order mark", sent: { value: "\ufeffx" }, read: { value: "\ufeffx" } },
    { what: "text that looks like JSON", sent: { value: "null" }, read: { value: "null" } },
    { what: "a number", sent: { value: 5 }, read: { value: "5" } },
    { what: "a fraction", sent: { value: -0.5e-7 }, read: { value: "-5e-8" } },
    { what: "a boolean", sent: { value: false }, read: { value: "false" } },
    {
      what: "an object",
      sent: { value: { b: [1, null], a: "ä" } },
      read: { value: '{"b":[1,null],"a":"ä"}' },
    },
    { what: "a list", sent: { value: [] }, read: { value: "[]" } },
    { what: "a tombstone", sent: { value: null }, read: { value: null } },
    { what: "bytes that are text", sent: { valueBase64: "w6Q=" }, read: { value: "ä" } },
    { what: "bytes that are none", sent: { valueBase64: "/wA=" }, read: { valueBase64: "/wA=" } },
    { what: "no bytes", sent: { valueBase64: "" }, read: { value: "" } },
    { what: "a key", sent: { key: "k", value: 1 }, read: { key: "k" } },
    { what: "an empty key", sent: { key: "", value: 1 }, read: { key: "" } },
    { what: "a null key", sent: { key: null, value: 1 }, read: { key: null } },
    { what: "a JSON key", sent: { key: { id: 7 }, value: 1 }, read: { key: '{"id":7}' } },
    { what: "a key of bytes", sent: { keyBase64: "gP8=", value: 1 }, read: { keyBase64: "gP8=" } },
    { what: "no key and no headers", sent: { value: 1 }, read: { key: null, headers: {} } },
    { what: "the time 0", sent: { value: 1, timestamp: 0 }, read: { timestamp: 0 } },
    { what: "the time -1", sent: { value: 1, timestamp: -1 }, read: { timestamp: -1 } },
    {
      what: "the first timestamp",
      sent: { value: 1, timestamp: -253_402_300_799_999 },
      read: { timestamp: -253_402_300_799_999 },
    },
    {
      what: "the last timestamp",
      sent: { value: 1, timestamp: 253_402_300_799_999 },
      read: { timestamp: 253_402_300_799_999 },
    },
    {
      what: "headers of all kinds",
      sent: {
        value: 1,
        headers: {
          text: "ä",
          none: null,
          bytes: { base64: "/w==" },
          many: ["1", null, { base64: "/w==" }],
        },
      },
      read: {
        headers: {
          text: "ä",
          none: null,
          bytes: { base64: "/w==" },
          many: ["1", null, { base64: "/w==" }],
        },
      },
    },
    {
      what: "headers with names that JavaScript knows",
      sent: { value: 1, headers: JSON.parse('{"__proto__":"x","constructor":"y","":"z"}') },
      read: { headers: JSON.parse('{"__proto__":"x","constructor":"y","":"z"}') },
    },
  ];

  test.each(ROUND_TRIPS)("[PRD-5] $what reads back as it was written", async ({ sent, read }) => {
    const { name } = await createTopic(1);
    await produce(name, [{ ...sent }]);
    const { records } = await fetchRecords(name, 0);
    // Compared as text where names matter: `__proto__` is no ordinary property to a matcher.
    const [record] = records;
    for (const [field, value] of Object.entries(read)) {
      const actual = (record as unknown as Record<string, unknown>)[field];
      expect(JSON.stringify(actual), field).toBe(JSON.stringify(value));
    }
    expect(records).toHaveLength(1);
  });

  test.each([
    { what: "JSON", type: "application/json", body: (record: string) => `{"records":[${record}]}` },
    { what: "lines", type: "application/x-ndjson", body: (record: string) => record },
    {
      what: "lines answered in lines",
      type: "application/x-ndjson",
      accept: "application/x-ndjson",
      body: (record: string) => record,
    },
  ])("[PRD-6] a key's bytes, and so its partition, are its text: $what", async (way) => {
    const { name } = await createTopic(100);
    const keys = ["7.0", "1.50", "-0", '{"b":1.0, "a":1,"b":2}', "1e3"];
    for (const key of keys) {
      for (const value of ["1", '"v"', '[1234567890123456,1.0, {"a":-0}]']) {
        const body = way.body(`{"key":${key},"value":${value},"timestamp":1795906156850.0}`);
        const headers = { "content-type": way.type, ...(way.accept && { accept: way.accept }) };
        const path = `/v1/topics/${name}/records`;
        const sent = { method: "POST", headers, body };
        const answer = await exports.default.fetch(`${ORIGIN}${path}`, sent);
        expect(new TextDecoder().decode(await answer.arrayBuffer())).toContain(
          way.accept ? '"done":true' : '"offset"',
        );
        const partition = partitionForKey(new TextEncoder().encode(key), 100);
        const at = `/v1/topics/${name}/partitions/${partition}/records`;
        const { records } = await expectStatus<{ records: object[] }>(200, "GET", at);
        expect(records.at(-1)).toMatchObject({
          key,
          value: value.replaceAll('"v"', "v"),
          timestamp: 1_795_906_156_850,
        });
      }
    }
  });

  test.each([
    { what: "a whole number beyond 2^53", value: "12345678901234567890" },
    { what: "a number beyond every double", value: "1e999" },
    { what: "text with half a surrogate pair", value: '"\\ud800"' },
  ])("[PRD-5] $what reads back as it was written or is rejected", async ({ value }) => {
    const { name } = await createTopic(1);
    const path = `/v1/topics/${name}/records`;
    const { status } = await call("POST", path, `{"records":[{"value":${value}}]}`);
    if (status === 400) return;
    const [record] = (await fetchRecords(name, 0)).records;
    const written = value.startsWith('"') ? JSON.parse(value) : value;
    // Compared as JSON, which escapes invalid Unicode: a report of it could not be sent.
    expect(JSON.stringify(record?.value)).toBe(JSON.stringify(written));
  });

  test("[CLI-12] [APK-5] an open broker ignores a token in a URL, except that of an EventSource", async () => {
    const { name, topicId } = await createTopic(1);
    const group = unique("g");
    const partition = `/v1/topics/${name}/partitions/0`;
    for (const path of [
      `/v1/groups/${group}/socket?`,
      `${partition}/socket?`,
      `${partition}/socket?topicId=${topicId}&`,
      `/v1/groups/${group}/consume?topics=${name}&`,
      `/v1/topics/${name}/stream?`,
      "/kafka?advertise=b:9092&",
    ]) {
      const response = await exports.default.fetch(`${ORIGIN}${path}access_token=a.b-c`, {
        headers: { upgrade: "websocket" },
      });
      expect(response.status, path).toBe(101);
      response.webSocket?.accept();
      response.webSocket?.close(1000);
    }
    await expectStatus(401, "GET", `/v1/topics/${name}/stream?access_token=t`);
    await expectStatus(200, "GET", `${partition}/records?access_token=t`);
  });

  test("[PRD-8] whatever time a Kafka client gave, the record can be sent back and looked up", async () => {
    const { name } = await createTopic(1);
    const batch = recordBatch(["a", "b"], { timestamps: [-1, -86_400_000] });
    const path = `/v1/topics/${name}/partitions/0`;
    await expectStatus(200, "POST", `${path}/batches`, batch, {
      "content-type": "application/octet-stream",
    });
    const { records } = await fetchRecords(name, 0);
    const again = records.map(({ offset: _offset, ...record }) => record);
    await expectStatus(200, "POST", `/v1/topics/${name}/records`, { records: again });
    const read = await fetchRecords(name, 0, "?offset=2");
    expect(read.records.map(({ timestamp }) => timestamp)).toEqual([-1, -86_400_000]);
    expect(read.records).toMatchObject(again);
    const at = (time: string) => expectStatus(200, "GET", `${path}/offsets?at=${time}`);
    expect(await at("-5")).toEqual({ offset: 0, timestamp: -1 });
    expect(await at("max-timestamp")).toEqual({ offset: 0, timestamp: -1 });
    expect(await at("0")).toEqual({ offset: 4 });
    expect(await at("1969-12-31T00:00:00Z")).toEqual({ offset: 0, timestamp: -1 });
    const reader = unique("reader");
    await readAs(reader, await expectStatus<TopicJson>(200, "GET", `/v1/topics/${name}`), { 0: 4 });
    const reset = { to: { timestamp: -86_400_001 } };
    const { offsets } = await expectStatus<{ offsets: object[] }>(
      200,
      "POST",
      `/v1/groups/${reader}/offsets`,
      reset,
    );
    expect(offsets).toMatchObject([{ offset: 0 }]);
  });

  test("[PRD-5] a record without timestamp gets the time of its arrival", async () => {
    const { name } = await createTopic(1);
    const before = Date.now();
    const [stored] = await produce(name, [{ value: 1 }]);
    const [record] = (await fetchRecords(name, 0)).records;
    expect(record?.timestamp).toBe(stored?.timestamp);
    expect(record?.timestamp).toBeGreaterThanOrEqual(before);
    expect(record?.timestamp).toBeLessThanOrEqual(Date.now());
  });

  test("[PRD-1] results come in the order of the records sent", async () => {
    const { name } = await createTopic(7);
    const records = Array.from({ length: 200 }, (_, index) => ({
      value: `v${index}`,
      ...(index % 3 === 0 ? { partition: index % 7 } : { key: `k${index}` }),
    }));
    const results = await produce(name, records);
    expect(results).toHaveLength(200);
    const stored = new Map<string, unknown>();
    for (let partition = 0; partition < 7; partition++) {
      for (const { offset, value } of (await fetchRecords(name, partition)).records)
        stored.set(`${partition}/${offset}`, value);
    }
    expect(results.map(({ partition, offset }) => stored.get(`${partition}/${offset}`))).toEqual(
      records.map(({ value }) => value),
    );
    // [PRD-2] Within a partition the order of the request.
    for (let partition = 0; partition < 7; partition++) {
      const offsets = results.filter((each) => each.partition === partition);
      expect(offsets.map(({ offset }) => offset)).toEqual(offsets.map((_, index) => index));
    }
  });

  test.each(TWINS)(
    "[PRD-1] failures are reported per record and the others are stored$when",
    async ({ interrupt }) => {
      const small = await createTopic(2);
      const stub = partitionStub(env, small.topicId, 0);
      await produce(small.name, [{ value: "a", partition: 0 }]);
      // A partition that knows of a smaller bound before the Worker does.
      const found = await clusterStub(env).topic({ name: small.name });
      if (!found.ok) throw new Error(found.detail);
      const overrides = { "max.message.bytes": 80 };
      await stub.configure({
        topic: { ...found.topic, overrides, config: resolveConfig(overrides) },
      });
      await interrupt(stub);
      const value = "x".repeat(200);
      const records = [1, 0, 1].map((partition) => ({ value, partition }));
      const path = `/v1/topics/${small.name}/records`;
      const refused = { partition: 0, error: { code: "MESSAGE_TOO_LARGE", errorCode: 10 } };
      expect(await call("POST", path, { records })).toMatchObject({
        status: 207,
        body: { results: [{ partition: 1, offset: 0 }, refused, { partition: 1, offset: 1 }] },
      });
      const none = await call("POST", path, { records: records.slice(1, 2) });
      expectProblem(none, 413, "MESSAGE_TOO_LARGE", /bytes.*80/);
      expect(none.body).toMatchObject({ results: [refused] });
      expect((await fetchRecords(small.name, 0)).highWatermark).toBe(1);
      expect((await fetchRecords(small.name, 1)).highWatermark).toBe(2);
    },
  );

  test.each(TWINS)(
    "[PRD-2] records of one request that fill many batches keep their order$when",
    async ({ interrupt }) => {
      const large = await createTopic(2);
      const text = (index: number) => `${index} ${"x".repeat(20_000)}`;
      const records = Array.from({ length: 300 }, (_, index) => ({
        value: text(index),
        partition: index % 2,
      }));
      const results = await produce(large.name, records);
      expect(results.map(({ offset }) => offset)).toEqual(records.map((_, i) => Math.floor(i / 2)));
      await interrupt(partitionStub(env, large.topicId, 1));
      const read: (string | null | undefined)[] = [];
      for (let offset = 0; offset < 150; ) {
        const { records: some, nextOffset } = await fetchRecords(
          large.name,
          1,
          `?offset=${offset}`,
        );
        read.push(...some.map(({ value }) => value));
        offset = nextOffset;
      }
      expect(read).toEqual(Array.from({ length: 150 }, (_, index) => text(2 * index + 1)));
    },
  );

  test("[PRD-3] keyless records of one request go to one partition together", async () => {
    const { name } = await createTopic(50);
    const used = new Set<number>();
    for (let request = 0; request < 8; request++) {
      const results = await produce(name, Array(20).fill({ value: "keyless" }));
      expect(new Set(results.map(({ partition }) => partition)).size).toBe(1);
      used.add(results[0]?.partition ?? -1);
    }
    // It is chosen again for each request: eight times the same of fifty would be no choice.
    expect(used.size).toBeGreaterThan(1);
  });

  // Vectors of Kafka's UtilsTest.testMurmur2.
  test("[PAR-1] a key's partition is murmur2 of its bytes, as in Kafka clients", async () => {
    const vectors = new Map([
      ["21", -973932308],
      ["foobar", -790332482],
      ["a-little-bit-long-string", -985981536],
      ["a-little-bit-longer-string", -1486304829],
      ["lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971],
      ["abc", 479470107],
    ]);
    const { name } = await createTopic(1_000);
    const results = await produce(
      name,
      Array.from(vectors.keys(), (key) => ({ key, value: null })),
    );
    expect(results.map(({ partition }) => partition)).toEqual(
      Array.from(vectors.values(), (hash) => (hash & 0x7fffffff) % 1_000),
    );
    const [bytes] = await produce(name, [{ keyBase64: btoa("foobar"), value: null }]);
    expect(bytes?.partition).toBe((-790332482 & 0x7fffffff) % 1_000);
  });

  test("[PRD-5] NDJSON is a record a line", async () => {
    const { name } = await createTopic(1);
    const body = '{"value":"one","key":"k"}\r\n\n{"value":{"two":2}}\n';
    const { results } = await expectStatus<{ results: object[] }>(
      200,
      "POST",
      `/v1/topics/${name}/records`,
      body,
      { "content-type": "application/x-ndjson; charset=utf-8" },
    );
    expect(results).toMatchObject([{ offset: 0 }, { offset: 1 }]);
    expect((await fetchRecords(name, 0)).records).toMatchObject([
      { key: "k", value: "one" },
      { key: null, value: '{"two":2}' },
    ]);
  });

  test("[CLU-1] a topic is returned as it was created, and listed", async () => {
    const created = await createTopic(3, { "max.message.bytes": "5000" });
    expect(created).toEqual({
      name: created.name,
      topicId: expect.stringMatching(/^[0-9a-f-]{36}$/),
      partitions: 3,
      config: { ...configByKey(DEFAULT_TOPIC_CONFIG), "max.message.bytes": 5_000 },
      overrides: { "max.message.bytes": 5_000 },
    });
    expect(await expectStatus(200, "GET", `/v1/topics/${created.name}`)).toEqual(created);
    const { topics } = await expectStatus<{ topics: TopicJson[] }>(200, "GET", "/v1/topics");
    expect(topics).toContainEqual(created);
    const plain = await expectStatus<TopicJson>(201, "POST", "/v1/topics", { name: unique("t") });
    expect(plain).toMatchObject({ partitions: 1, config: { "max.message.bytes": 1_048_588 } });
    expect(plain.overrides).toEqual({});
  });
});

describe("fetching", () => {
  /** Offsets 0 to 9 in batches of 1, 4 and 5. */
  async function tenRecords(): Promise<TopicJson> {
    const created = await createTopic(1);
    const values = Array.from({ length: 10 }, (_, index) => ({
      value: `v${index}`,
      timestamp: index,
    }));
    for (const [from, to] of [
      [0, 1],
      [1, 5],
      [5, 10],
    ])
      await produce(created.name, values.slice(from, to));
    return created;
  }

  const offsetsOf = ({ records }: Fetched) => records.map(({ offset }) => offset);

  test.each(TWINS)(
    "[FCH-1] a fetch returns records from its offset on and where to continue$when",
    async ({ interrupt }) => {
      const { name, topicId } = await tenRecords();
      await interrupt(partitionStub(env, topicId, 0));
      const all = await fetchRecords(name, 0);
      expect(offsetsOf(all)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
      expect(all).toMatchObject({ nextOffset: 10, logStartOffset: 0, highWatermark: 10 });
      // Inside a batch, at its edge, and at the end.
      expect(offsetsOf(await fetchRecords(name, 0, "?offset=3"))).toEqual([3, 4, 5, 6, 7, 8, 9]);
      expect(offsetsOf(await fetchRecords(name, 0, "?offset=5"))).toEqual([5, 6, 7, 8, 9]);
      expect(await fetchRecords(name, 0, "?offset=10")).toMatchObject({
        records: [],
        nextOffset: 10,
      });
    },
  );

  test.each(TWINS)("[FCH-1] a fetch is bounded by records$when", async ({ interrupt }) => {
    const { name, topicId } = await tenRecords();
    await interrupt(partitionStub(env, topicId, 0));
    const seen: number[][] = [];
    for (let offset = 0; offset < 10; ) {
      const some = await fetchRecords(name, 0, `?offset=${offset}&maxRecords=3`);
      seen.push(offsetsOf(some));
      offset = some.nextOffset;
    }
    expect(seen).toEqual([[0, 1, 2], [3, 4, 5], [6, 7, 8], [9]]);
  });

  test.each(TWINS)(
    "[FCH-1] a fetch is bounded by bytes, and returns at least a batch$when",
    async ({ interrupt }) => {
      const { name, topicId } = await tenRecords();
      const stub = partitionStub(env, topicId, 0);
      await interrupt(stub);
      const seen: number[][] = [];
      for (let offset = 0; offset < 10; ) {
        const some = await fetchRecords(name, 0, `?offset=${offset}&maxBytes=1`);
        seen.push(offsetsOf(some));
        offset = some.nextOffset;
      }
      expect(seen).toEqual([[0], [1, 2, 3, 4], [5, 6, 7, 8, 9]]);
      const first = await stub.read({ offset: 0, maxBytes: 1 });
      const second = await stub.read({ offset: 1, maxBytes: 1 });
      if (!first.ok || !second.ok) throw new Error("the log is readable");
      const room = first.batches.length + second.batches.length;
      const fitting = await fetchRecords(name, 0, `?maxBytes=${room}`);
      expect(offsetsOf(fitting)).toEqual([0, 1, 2, 3, 4]);
      expect(offsetsOf(await fetchRecords(name, 0, `?maxBytes=${room - 1}`))).toEqual([0]);
    },
  );

  test.each(TWINS)(
    "[FCH-2] a fetch that waits returns as soon as a record is produced$when",
    async ({ interrupt }) => {
      const { name, topicId } = await createTopic(1);
      const stub = partitionStub(env, topicId, 0);
      await produce(name, [{ value: "before" }]);
      const waiting = fetchRecords(name, 0, "?offset=1&waitMs=30000");
      // It waits as a reader of the partition; the socket's attachment shows the attach.
      await eventually(
        () =>
          runInDurableObject(stub, (_, state) =>
            state.getWebSockets().some((socket) => socket.deserializeAttachment() !== null),
          ),
        "the fetch to wait",
      );
      await interrupt(stub);
      await produce(name, [{ value: "awaited" }]);
      const fetched = await guarded(waiting, "the fetch to return");
      expect(fetched.records).toMatchObject([{ offset: 1, value: "awaited" }]);
      expect(fetched).toMatchObject({ nextOffset: 2, highWatermark: 2 });
    },
  );

  test("[FCH-2] a fetch that waits in vain returns nothing after its time", async () => {
    const { name } = await createTopic(1);
    const startMs = performance.now();
    const fetched = await fetchRecords(name, 0, "?offset=0&waitMs=200");
    expect(fetched).toMatchObject({ records: [], nextOffset: 0, highWatermark: 0 });
    expect(performance.now() - startMs).toBeGreaterThanOrEqual(190);
  });

  test("[FCH-2] a fetch does not wait if there are records", async () => {
    const { name } = await tenRecords();
    const fetched = fetchRecords(name, 0, "?offset=9&waitMs=30000");
    expect(offsetsOf(await guarded(fetched, "the fetch to return"))).toEqual([9]);
  });

  test.each(TWINS)(
    "[LOG-6] offsets are found by position and by time$when",
    async ({ interrupt }) => {
      const { name, topicId } = await createTopic(1);
      const [early, late] = [Date.UTC(2026, 0, 1), Date.UTC(2026, 6, 1)];
      await produce(name, [
        { value: "a", timestamp: early },
        { value: "b", timestamp: late },
      ]);
      await produce(name, [{ value: "c", timestamp: late - 1 }]);
      await interrupt(partitionStub(env, topicId, 0));
      const at = (query: string) =>
        expectStatus(200, "GET", `/v1/topics/${name}/partitions/0/offsets${query}`);
      expect(await at("?at=earliest")).toEqual({ offset: 0 });
      expect(await at("?at=latest")).toEqual({ offset: 3 });
      expect(await at("")).toEqual({ offset: 3 });
      expect(await at("?at=0")).toEqual({ offset: 0, timestamp: early });
      expect(await at(`?at=${early}`)).toEqual({ offset: 0, timestamp: early });
      expect(await at(`?at=${early + 1}`)).toEqual({ offset: 1, timestamp: late });
      expect(await at("?at=2026-07-01T00:00:00Z")).toEqual({ offset: 1, timestamp: late });
      expect(await at("?at=2026-01-01")).toEqual({ offset: 0, timestamp: early });
      expect(await at("?at=2026-07-01T02:00:00%2B02:00")).toEqual({ offset: 1, timestamp: late });
      expect(await at(`?at=${late + 1}`)).toEqual({ offset: 3 });
    },
  );

  test.each(TWINS)(
    "[LOG-6] a lookup by time finds the first remaining record$when",
    async ({ interrupt }) => {
      const { name, topicId } = await createTopic(1);
      await produce(name, [
        { value: "deleted", timestamp: 900 },
        { value: "old", timestamp: 100 },
      ]);
      await produce(name, [{ value: "wanted", timestamp: 500 }]);
      await expectStatus(200, "DELETE", `/v1/topics/${name}/partitions/0/records?before=1`);
      await interrupt(partitionStub(env, topicId, 0));
      const path = `/v1/topics/${name}/partitions/0/offsets`;
      expect(await expectStatus(200, "GET", `${path}?at=earliest`)).toEqual({ offset: 1 });
      expect(await expectStatus(200, "GET", `${path}?at=500`)).toEqual({
        offset: 2,
        timestamp: 500,
      });
    },
  );

  test.each(TWINS)(
    "[LOG-8] deleted records are no longer read, the others are$when",
    async ({ interrupt }) => {
      const { name, topicId } = await tenRecords();
      const path = `/v1/topics/${name}/partitions/0/records`;
      expect(await expectStatus(200, "DELETE", `${path}?before=3`)).toEqual({ logStartOffset: 3 });
      expect(await expectStatus(200, "DELETE", `${path}?before=1`)).toEqual({ logStartOffset: 3 });
      await interrupt(partitionStub(env, topicId, 0));
      const fetched = await fetchRecords(name, 0);
      expect(offsetsOf(fetched)).toEqual([3, 4, 5, 6, 7, 8, 9]);
      expect(fetched).toMatchObject({ logStartOffset: 3, highWatermark: 10 });
      expect(await expectStatus(200, "DELETE", `${path}?before=10`)).toEqual({
        logStartOffset: 10,
      });
      expect(await fetchRecords(name, 0)).toMatchObject({ records: [], nextOffset: 10 });
    },
  );
});

describe("groups", () => {
  interface Reset {
    readonly groupId: string;
    readonly dryRun: boolean;
    readonly offsets: {
      topic: string;
      partition: number;
      committedOffset: number | null;
      offset: number;
    }[];
  }

  /** Two partitions of ten records at timestamps 0 to 9; the first one's first two are deleted. */
  async function readTopic(): Promise<{ topic: TopicJson; group: string }> {
    const created = await createTopic(2);
    for (const partition of [0, 1]) {
      const records = Array.from({ length: 10 }, (_, index) => ({
        value: `v${index}`,
        timestamp: index,
        partition,
      }));
      await produce(created.name, records);
    }
    await expectStatus(200, "DELETE", `/v1/topics/${created.name}/partitions/0/records?before=2`);
    const reader = unique("reader");
    await readAs(reader, created, { 0: 5 });
    return { topic: created, group: reader };
  }

  const RESETS: readonly { to: unknown; expected: [number, number] }[] = [
    { to: "earliest", expected: [2, 0] },
    { to: "latest", expected: [10, 10] },
    { to: { offset: 7 }, expected: [7, 7] },
    { to: { offset: 1 }, expected: [2, 1] },
    { to: { offset: 11 }, expected: [10, 10] },
    { to: { timestamp: 4 }, expected: [4, 4] },
    { to: { timestamp: 0 }, expected: [2, 0] },
    { to: { timestamp: "1970-01-01T00:00:00.006Z" }, expected: [6, 6] },
    { to: { timestamp: 99 }, expected: [10, 10] },
    { to: { duration: 0 }, expected: [10, 10] },
    { to: { duration: "P30000DT1H1M0.5S" }, expected: [2, 0] },
    // Nothing was committed in partition 1: shifts count from its log start.
    { to: "current", expected: [5, 0] },
    { to: { shiftBy: 3 }, expected: [8, 3] },
    { to: { shiftBy: -2 }, expected: [3, 0] },
    { to: { shiftBy: -100 }, expected: [2, 0] },
    { to: { shiftBy: 100 }, expected: [10, 10] },
  ];

  test.each(
    TWINS.flatMap((twin) =>
      RESETS.map((each) => ({ ...twin, ...each, target: JSON.stringify(each.to) })),
    ),
  )(
    "[OFF-4] a reset to $target sets the committed offsets, clamped to the log$when",
    async ({ interrupt, to, expected }) => {
      const { topic: read, group: reader } = await readTopic();
      await interrupt(groupStub(env, reader));
      const path = `/v1/groups/${reader}/offsets`;
      const plan = [5, null].map((committedOffset, partition) => ({
        topic: read.name,
        partition,
        committedOffset,
        offset: expected[partition],
      }));
      // [OFF-5] The dry run returns the same and changes nothing.
      const dry = await expectStatus<Reset>(200, "POST", path, { to, dryRun: true });
      expect(dry).toEqual({ groupId: reader, dryRun: true, offsets: plan });
      expect(await committedOffsets(reader, read.name)).toEqual([5, null]);
      const done = await expectStatus<Reset>(200, "POST", path, { to });
      expect(done).toEqual({ groupId: reader, dryRun: false, offsets: plan });
      await interrupt(groupStub(env, reader));
      expect(await committedOffsets(reader, read.name)).toEqual(expected);
    },
  );

  test.each(TWINS)("[OFF-5] a dry run of a reset changes nothing$when", async ({ interrupt }) => {
    const { topic: read, group: reader } = await readTopic();
    vi.setSystemTime(Date.now()); // The ages of unread records are the same before and after.
    const before = await describeGroup(reader);
    const path = `/v1/groups/${reader}/offsets`;
    await expectStatus(200, "POST", path, { to: "latest", topics: [read.name], dryRun: true });
    await interrupt(groupStub(env, reader));
    expect(await describeGroup(reader)).toEqual(before);
  });

  test("[OFF-4] a reset of one topic leaves the others alone", async () => {
    const { topic: read, group: reader } = await readTopic();
    const other = await createTopic(1);
    await produce(other.name, [{ value: "a" }]);
    await readAs(reader, other, { 0: 1 });
    const path = `/v1/groups/${reader}/offsets`;
    await expectStatus(200, "POST", path, { to: "earliest", topics: [other.name] });
    expect(await committedOffsets(reader, other.name)).toEqual([0]);
    expect(await committedOffsets(reader, read.name)).toEqual([5, null]);
  });

  test.each(TWINS)(
    "[OFF-8] a plan sets the offsets it names, clamped to the log, and no others$when",
    async ({ interrupt }) => {
      const { topic: read, group: reader } = await readTopic();
      const other = await createTopic(2);
      await readAs(reader, other, { 0: 0, 1: 0 });
      await produce(other.name, [{ value: "a", partition: 1 }]);
      await interrupt(groupStub(env, reader));
      const path = `/v1/groups/${reader}/offsets`;
      // In the order of the plan; partition 0 begins at 2, the other topic's ends at 1.
      const offsets = plan([other.name, 1, 9], [read.name, 1, 4], [read.name, 0, 0]);
      const answer = [
        { topic: other.name, partition: 1, committedOffset: 0, offset: 1 },
        { topic: read.name, partition: 1, committedOffset: null, offset: 4 },
        { topic: read.name, partition: 0, committedOffset: 5, offset: 2 },
      ];
      // [OFF-5] The dry run returns the same and changes nothing.
      const dry = await expectStatus<Reset>(200, "POST", path, { offsets, dryRun: true });
      expect(dry).toEqual({ groupId: reader, dryRun: true, offsets: answer });
      expect(await committedOffsets(reader, read.name)).toEqual([5, null]);
      const done = await expectStatus<Reset>(200, "POST", path, { offsets });
      expect(done).toEqual({ groupId: reader, dryRun: false, offsets: answer });
      await interrupt(groupStub(env, reader));
      expect(await committedOffsets(reader, read.name)).toEqual([2, 4]);
      expect(await committedOffsets(reader, other.name)).toEqual([0, 1]);
    },
  );

  test.each(TWINS)(
    "[OFF-6] describe shows members, their partitions, committed offsets, ends and lag$when",
    async ({ interrupt }) => {
      const { topic: read, group: reader } = await readTopic();
      const nowMs = Date.now();
      vi.setSystemTime(nowMs);
      const empty = await describeGroup(reader);
      expect(empty).toMatchObject({ groupId: reader, state: "EMPTY", members: [] });
      expect(empty.assignor).toBe("uniform");
      const rows = [
        { committedOffset: 5, lag: 5, oldestUnreadMs: nowMs - 5 },
        { committedOffset: null, lag: null, oldestUnreadMs: nowMs },
      ].map((row, partition) => ({ topic: read.name, partition, logEndOffset: 10, ...row }));
      expect(empty.offsets).toEqual(rows);
      const member = await TestSocket.open<{ type: string }>(`/v1/groups/${reader}/socket`);
      member.send({
        type: "join",
        memberId: "me",
        memberEpoch: 0,
        instanceId: "desk",
        clientId: "name",
        topics: [read.name],
      });
      await member.next((message): message is { type: string } => typeof message === "object");
      await interrupt(groupStub(env, reader));
      const described = await describeGroup(reader);
      expect(described).toMatchObject({
        state: "STABLE",
        members: [
          {
            memberId: "me",
            instanceId: "desk",
            clientId: "name",
            assignment: [{ topic: read.name, partitions: [0, 1] }],
            target: [{ topic: read.name, partitions: [0, 1] }],
          },
        ],
        offsets: rows,
      });
      expect(described.epoch).toBeGreaterThan(empty.epoch);
    },
  );

  test("[OFF-12] lag does not count records that are gone", async () => {
    const created = await createTopic(3);
    const reader = unique("reader");
    for (const partition of [0, 1, 2])
      await produce(
        created.name,
        Array.from({ length: 5 }, () => ({ value: "v", partition })),
      );
    await readAs(reader, created, { 0: 1, 1: 4 });
    for (const partition of [0, 1, 2]) {
      const path = `/v1/topics/${created.name}/partitions/${partition}/records?before=3`;
      await expectStatus(200, "DELETE", path);
    }
    const { offsets } = await describeGroup(reader);
    expect(offsets.map(({ committedOffset, lag }) => [committedOffset, lag])).toEqual([
      [1, 2],
      [4, 1],
      [null, null],
    ]);
    await expectStatus(200, "DELETE", `/v1/topics/${created.name}/partitions/0/records?before=5`);
    expect((await describeGroup(reader)).offsets[0]?.lag).toBe(0);
  });

  test("[OFF-6] lag is never negative", async () => {
    const created = await createTopic(1);
    const reader = unique("reader");
    await readAs(reader, created, { 0: 7 });
    const row = { topic: created.name, partition: 0, committedOffset: 7, logEndOffset: 0 };
    expect((await describeGroup(reader)).offsets).toEqual([
      { ...row, lag: 0, oldestUnreadMs: null },
    ]);
  });

  async function oldestUnread(reader: string): Promise<(number | null)[]> {
    return (await describeGroup(reader)).offsets.map(({ oldestUnreadMs }) => oldestUnreadMs);
  }

  test.each([
    { name: "nothing" },
    { name: "gzip", compression: compressor(COMPRESSIONS.gzip) as Compressor },
    { name: "zstd", compression: compressor(COMPRESSIONS.zstd) as Compressor },
  ])(
    "[OFF-9] the age of the oldest unread record is shown, even inside a batch compressed by $name",
    async ({ compression }) => {
      const nowMs = Date.now();
      vi.setSystemTime(nowMs);
      // Read to the middle, to the end, to nowhere, to before the log start, to a record of the future.
      const created = await createTopic(5);
      const ages = [50_000, 40_000, 60_000, -1_000];
      const timestamps = ages.map((ageMs) => nowMs - ageMs);
      const batch = recordBatch(["a", "b", "c", "d"], {
        timestamps,
        ...(compression === undefined ? {} : { compression }),
      });
      for (const partition of [0, 1, 2, 3, 4]) {
        const path = `/v1/topics/${created.name}/partitions/${partition}/batches`;
        await expectStatus(200, "POST", path, batch);
      }
      const deletion = `/v1/topics/${created.name}/partitions/3/records?before=2`;
      await expectStatus(200, "DELETE", deletion);
      const reader = unique("reader");
      await readAs(reader, created, { 0: 1, 1: 4, 3: 0, 4: 3 });
      expect(await oldestUnread(reader)).toEqual([40_000, null, 50_000, 60_000, 0]);
      vi.setSystemTime(nowMs + 500);
      expect(await oldestUnread(reader)).toEqual([40_500, null, 50_500, 60_500, 0]);
    },
  );

  test("[OFF-9] compacted or deleted records are not the oldest unread record", async () => {
    const nowMs = Date.now();
    vi.setSystemTime(nowMs);
    const created = await createTopic(2, { "cleanup.policy": "compact", "segment.ms": 3_600_000 });
    const stub = partitionStub(env, created.topicId, 0);
    const append = async (keys: readonly string[], ageMs: number) => {
      const timestamps = keys.map(() => nowMs - ageMs);
      const batch = recordBatch(keys, { keys, timestamps });
      expect(await stub.append({ batches: batch })).toMatchObject({ ok: true });
    };
    // "a" is left of the first batch, nothing of the second, all of the third.
    await append(["a", "b", "c"], 3_000);
    await append(["b", "c"], 2_000);
    await append(["b", "c"], 1_000);
    await produce(created.name, [{ value: "gone", key: "k", partition: 1 }]);
    const reader = unique("reader");
    await readAs(reader, created, { 0: 1, 1: 0 });
    await expectStatus(200, "DELETE", `/v1/topics/${created.name}/partitions/1/records?before=1`);
    expect(await oldestUnread(reader)).toEqual([3_000, null]);
    vi.setSystemTime(nowMs + 7_200_000); // Old enough to be closed and compacted.
    await runDurableObjectAlarm(stub);
    expect((await fetchRecords(created.name, 0)).records.map(({ offset }) => offset)).toEqual([
      0, 5, 6,
    ]);
    expect(await oldestUnread(reader)).toEqual([7_201_000, null]);
  });

  test("[OFF-9] an undecodable batch has no age, and the group is described", async () => {
    const created = await createTopic(1);
    const compress = () => new Uint8Array([1, 2, 3]);
    const batch = recordBatch(["x"], { compression: { type: COMPRESSIONS.gzip, compress } });
    const stub = partitionStub(env, created.topicId, 0);
    expect(await stub.append({ batches: batch })).toMatchObject({ ok: true });
    const reader = unique("reader");
    await readAs(reader, created, { 0: 0 });
    expect((await describeGroup(reader)).offsets).toMatchObject([{ lag: 1, oldestUnreadMs: null }]);
  });

  test("[GRP-10] group ids of all kinds are distinct", async () => {
    const ids = ["a/b", "a%2Fb", "ä ö", "g".repeat(255), "..%", "?x=1#y"].map((id) => `${id}`);
    for (const [index, id] of ids.entries())
      await readAs(encodeURIComponent(id), topic, { 0: index });
    const { groups } = await expectStatus<{ groups: { groupId: string }[] }>(
      200,
      "GET",
      "/v1/groups",
    );
    expect(groups.map(({ groupId }) => groupId)).toEqual(expect.arrayContaining(ids));
    for (const [index, id] of ids.entries()) {
      const described = await describeGroup(encodeURIComponent(id));
      expect(described.groupId).toBe(id);
      expect(described.offsets[0]?.committedOffset).toBe(index);
    }
  });
});

describe("a request with more faults than can be listed", () => {
  const wrong = Array.from({ length: 100_000 }, () => ({ valu: 1 }));
  const send = async (records: object[]) => {
    const { name } = await createTopic(1);
    return call<{ code: string; detail: string }>("POST", `/v1/topics/${name}/records`, {
      records,
    });
  };

  test("[PRD-4] [ERR-1] gets the first of them", async () => {
    const { status, body } = await send(wrong);
    expect({ status, ...body }).toMatchObject({ status: 400, code: "INVALID_REQUEST" });
    expect(body.detail).toMatch(/^records\[0\]: unknown field "?valu/);
  });

  test("[PRD-4] [ERR-1] is told that there are many if the first come late", async () => {
    const good = Array.from({ length: 1_000 }, () => ({ value: "a" }));
    const { status, body } = await send([...good, ...wrong.slice(1_000)]);
    expect({ status, ...body }).toMatchObject({ status: 400, code: "INVALID_REQUEST" });
    expect(body.detail).toMatch(/^records\[1000\]|too many errors/);
  });
});
