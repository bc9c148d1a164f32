// The PLAIN and OAUTHBEARER messages that clients send, and invalid ones.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  readOauthBearer,
  readPlain,
  readSaslName,
  readUtf8,
  SASL_MECHANISMS,
} from "../../../../src/core/access/sasl.ts";
import { runs } from "../../../support/effort.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const NOT_UTF8 = Uint8Array.of(0xc3, 0x28);
const joined = (...parts: (string | Uint8Array)[]) =>
  Buffer.concat(parts.map((part) => (typeof part === "string" ? bytes(part) : part)));

test("[SASL-1] the mechanisms are listed in this order", () => {
  expect(SASL_MECHANISMS).toEqual(["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"]);
});

describe("PLAIN", () => {
  test.each([
    ["\0alice\0secret", "alice", "secret"],
    ["alice\0alice\0secret", "alice", "secret"],
    ["\0älice\0 =,\u0001 ", "älice", " =,\u0001 "],
    ["\0\uFEFFalice\0\uFEFF", "\uFEFFalice", "\uFEFF"],
  ])("[SASL-2] %j is read", (text, user, password) => {
    expect(readPlain(bytes(text))).toEqual({ user, password });
  });

  test.each([
    "",
    "\0",
    "\0\0",
    "\0alice",
    "alice\0secret",
    "\0alice\0",
    "\0\0secret",
    "\0alice\0secret\0",
    "\0alice\0sec\0ret",
    "bob\0alice\0secret",
    "Alice\0alice\0secret",
    "n,,n=alice,r=nonce",
  ])("[SASL-2] %j is rejected", (text) => {
    expect(readPlain(bytes(text))).toBe(null);
  });

  test("[SASL-2] bytes that are not UTF-8 are rejected", () => {
    expect(readPlain(joined("\0alice\0", NOT_UTF8))).toBe(null);
    expect(readPlain(joined("\0", NOT_UTF8, "\0secret"))).toBe(null);
    expect(readUtf8(NOT_UTF8)).toBe(null);
  });

  test("[SASL-2] any user and password are read as they were written", () => {
    const word = fc
      .string({ unit: "grapheme", minLength: 1 })
      .filter((text) => !text.includes("\0"));
    fc.assert(
      fc.property(word, word, fc.boolean(), (user, password, isNamedTwice) => {
        const message = [isNamedTwice ? user : "", user, password].join("\0");
        expect(readPlain(bytes(message))).toEqual({ user, password });
      }),
      runs(300),
    );
  });
});

describe("OAUTHBEARER", () => {
  const TOKEN = "eyJ-a_b.c~d+e/f==";

  test.each([
    ["no name", "n,,\x01auth=Bearer TOKEN\x01\x01", null],
    ["a name", "n,a=alice,\x01auth=Bearer TOKEN\x01\x01", "alice"],
    ["a principal", "n,a=User:alice,\x01auth=Bearer TOKEN\x01\x01", "User:alice"],
    ["a name with escapes", "n,a=a=2Cb=3Dc,\x01auth=Bearer TOKEN\x01\x01", "a,b=c"],
    ["another spelling", "n,,\x01auth=bEARER   TOKEN\x01\x01", null],
    ["an extension", "n,,\x01auth=Bearer TOKEN\x01traceId=a=b c\x01\x01", null],
    ["extensions around", "n,,\x01host=\x01auth=Bearer TOKEN\x01port=9092\x01\x01", null],
  ])("[SASL-4] the token is read with %s", (_, message, authzid) => {
    const text = message.replace("TOKEN", TOKEN);
    expect(readOauthBearer(bytes(text))).toEqual({ token: TOKEN, authzid });
  });

  test.each([
    "",
    "\x01",
    "n,,",
    "n,,\x01\x01",
    "n,,\x01auth=Bearer abc",
    "n,,\x01auth=Bearer abc\x01",
    "n,,\x01auth=Bearer abc\x01\x01\x01",
    "n,,\x01\x01auth=Bearer abc\x01\x01",
    "\x01auth=Bearer abc\x01\x01",
    "n,\x01auth=Bearer abc\x01\x01",
    "n,,,\x01auth=Bearer abc\x01\x01",
    "y,,\x01auth=Bearer abc\x01\x01",
    "p=tls-unique,,\x01auth=Bearer abc\x01\x01",
    " n,,\x01auth=Bearer abc\x01\x01",
    "n,a=,\x01auth=Bearer abc\x01\x01",
    "n,a=al=ice,\x01auth=Bearer abc\x01\x01",
    "n,a=al\0ice,\x01auth=Bearer abc\x01\x01",
    'n,"a=alice,\x01auth=Bearer abc\x01\x01',
    "n,,\x01auth=Basic abc\x01\x01",
    "n,,\x01auth=Bearer\x01\x01",
    "n,,\x01auth=Bearer \x01\x01",
    "n,,\x01auth=Bearerabc\x01\x01",
    "n,,\x01auth=Bearer a b\x01\x01",
    "n,,\x01auth=Bearer a=b\x01\x01",
    "n,,\x01auth=Bearer abc\n\x01\x01",
    "n,,\x01Auth=Bearer abc\x01\x01",
    "n,,\x01auth=Bearer abc\x01auth=Bearer def\x01\x01",
    "n,,\x01auth=Bearer abc\x01extension\x01\x01",
    "n,,\x01auth=Bearer abc\x01=value\x01\x01",
    "\0alice\0secret",
  ])("[SASL-4] %j is rejected", (text) => {
    expect(readOauthBearer(bytes(text))).toBe(null);
  });

  test("[SASL-4] a token has 8192 characters at most", () => {
    const message = (length: number) => `n,,\x01auth=Bearer ${"a".repeat(length)}\x01\x01`;
    expect(readOauthBearer(bytes(message(8192)))?.token.length).toBe(8192);
    expect(readOauthBearer(bytes(message(8193)))).toBe(null);
  });

  test("[SASL-4] the largest accepted message takes no time", () => {
    const endings = ["=", "\x01", "a=\x01", " ", "=2C", "auth=\x01"];
    for (const ending of endings) {
      const text = `n,,\x01auth=Bearer a${ending.repeat(524_288 / ending.length)}`;
      const start = performance.now();
      expect(readOauthBearer(bytes(text))).toBe(null);
      expect(performance.now() - start).toBeLessThan(2000);
    }
  });

  test("[SASL-4] bytes that are not UTF-8 are rejected", () => {
    expect(readOauthBearer(joined("n,a=", NOT_UTF8, ",\x01auth=Bearer abc\x01\x01"))).toBe(null);
  });
});

test("[SASL-2] [SASL-4] any input is read or rejected, and throws nothing", () => {
  const PIECES = [
    "\0",
    "\x01",
    "n,",
    "a=",
    ",",
    "auth=",
    "Bearer ",
    "=2C",
    "=",
    "x",
    "ä",
    "\uFEFF",
  ];
  const like = fc.array(fc.constantFrom(...PIECES)).map((pieces) => bytes(pieces.join("")));
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array(), like), (message) => {
      const plain = readPlain(message);
      if (plain !== null) {
        expect(plain.user).not.toBe("");
        expect(plain.password).not.toBe("");
      }
      const bearer = readOauthBearer(message);
      if (bearer !== null) expect(bearer.token).toMatch(/^[\x21-\x7e]+$/);
    }),
    runs(2000),
  );
});

test("[SASL-3] names are read with their escapes, and others rejected", () => {
  const escaped = (name: string) => name.replaceAll("=", "=3D").replaceAll(",", "=2C");
  for (const name of ["alice", "a,b", "a=b", "=2C", "=3D2C", "ä, =", "User:x"])
    expect(readSaslName(escaped(name))).toBe(name);
  for (const text of ["", "a,b", "a=b", "a=", "=2", "=2c", "=3d", "a\0b"])
    expect(readSaslName(text), text).toBe(null);
});
