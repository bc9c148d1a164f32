// The messages of Rivulet's own sockets: pinned to the version of the protocol, and read with what a newer release adds.
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import * as z from "zod";
import { BrokerError } from "../../../src/core/errors.ts";
import { memberMessage } from "../../../src/protocol/group-socket.ts";
import { isUnknownType, parseFrame } from "../../../src/protocol/parse.ts";
import { readerMessage } from "../../../src/protocol/partition-socket.ts";
import { plainClientMessage } from "../../../src/protocol/plain-consumer.ts";
import { SOCKET_VERSION, selectVersion } from "../../../src/protocol/version.ts";
import { MESSAGES } from "../../support/message-schemas.ts";

/** Written once for each version, and never changed except for optional fields. */
const PINNED = new URL(`messages-v${SOCKET_VERSION}.json`, import.meta.url);

const current = Object.fromEntries(
  Object.entries(MESSAGES).map(([name, schema]) => [
    name,
    z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }),
  ]),
);

test("[VER-7] the messages are those of the version that sockets name", () => {
  expect(current).toEqual(JSON.parse(readFileSync(PINNED, "utf8")));
});

describe("a message of a newer release", () => {
  const uuid = "0b7c9a52-0d1c-4c57-9a3c-6f2f5a4b1c7d";
  const held = [{ topicId: uuid, partitions: [0] }];
  const MESSAGES_TO_READ = [
    [memberMessage, { type: "join", memberId: "m", memberEpoch: 0, topics: ["t"], owned: held }],
    [memberMessage, { type: "revoked", partitions: held }],
    [
      memberMessage,
      {
        type: "commit",
        requestId: 1,
        memberEpoch: 1,
        offsets: [{ topicId: uuid, partition: 0, offset: 1 }],
      },
    ],
    [memberMessage, { type: "leave" }],
    [
      readerMessage,
      {
        type: "attach",
        offset: { durationMs: 1 },
        owner: { group: "g", incarnation: 1, memberEpoch: 1, memberNumber: 1 },
      },
    ],
    [readerMessage, { type: "window", bytes: 1 }],
    [plainClientMessage, { type: "ack", topic: "t", partition: 0, offset: 1 }],
    [plainClientMessage, { type: "seek", topic: "t", partition: 0, offset: 1 }],
    [plainClientMessage, { type: "pause", topic: "t", partition: 0 }],
    [plainClientMessage, { type: "resume", topic: "t", partition: 0 }],
    [plainClientMessage, { type: "leave" }],
    [plainClientMessage, { type: "ping" }],
  ] as const;

  /** Puts an unknown field into every object of the message. */
  function withMore(value: unknown): unknown {
    if (Array.isArray(value)) return value.map(withMore);
    if (typeof value !== "object" || value === null) return value;
    const fields = Object.entries(value).map(([name, field]) => [name, withMore(field)]);
    return { ...Object.fromEntries(fields), ofANewerRelease: { deep: [1] } };
  }

  test.each(MESSAGES_TO_READ)(
    "[VER-8] is read without the unknown fields %#",
    (schema, message) => {
      const read = (it: unknown) => parseFrame(schema as typeof memberMessage, JSON.stringify(it));
      expect(read(withMore(message))).toEqual(read(message));
    },
  );

  test.each([memberMessage, readerMessage, plainClientMessage])(
    "[VER-8] of an unknown type is distinguished from an invalid one %#",
    (schema) => {
      const told = (frame: string) => {
        try {
          return parseFrame(schema as typeof memberMessage, frame);
        } catch (error) {
          return error;
        }
      };
      const unknown = told('{"type":"of-a-newer-release"}');
      expect(unknown).toMatchObject({ code: "UNSUPPORTED_VERSION", retriable: false });
      expect(isUnknownType(unknown)).toBe(true);
      expect((unknown as BrokerError).message).toMatch(
        /^type: must be one of \w+(, \w+)+; got "of-a-newer-release"$/,
      );
      for (const frame of ["{}", "null", "3", '"leave"', "[]", '{"type":7}', '{"type":null}', "{"])
        expect(told(frame), frame).toMatchObject({ code: "INVALID_REQUEST" });
    },
  );
});

describe("the version that a socket names", () => {
  test.each([
    [undefined, undefined, null],
    [0, undefined, null],
    [1, undefined, null],
    [undefined, "rivulet.v1", "rivulet.v1"],
    [undefined, "chat, rivulet.v0 ,rivulet.v1", "rivulet.v1"],
    [undefined, "rivulet.v1, rivulet.v9", "rivulet.v1"],
    [undefined, "rivulet.v0", "rivulet.v0"],
    [1, "rivulet.token.abc, rivulet.v1", "rivulet.v1"],
    [undefined, "chat", null],
    [undefined, "rivulet.v", null],
    [undefined, "rivulet.v01x", null],
  ] as const)("[VER-7] %s and %s select %s", (v, offered, selected) => {
    expect(selectVersion(v, offered)).toBe(selected);
  });

  test.each([
    [2, undefined, 2],
    [9, "rivulet.v1", 9],
    [undefined, "rivulet.v2", 2],
    [undefined, "rivulet.v7, rivulet.v8", 7],
  ] as const)("[VER-7] %s and %s are refused", (v, offered, wrong) => {
    const refused = new BrokerError(
      "UNSUPPORTED_VERSION",
      `v is ${wrong}, this broker supports versions 0 to 1 of the socket protocol; update it, or use an older client`,
    );
    expect(() => selectVersion(v, offered)).toThrow(refused);
  });
});
