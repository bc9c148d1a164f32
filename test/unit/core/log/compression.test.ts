// Compressed batches, in a runtime with node:zlib and in one without it (browsers): the same tests for both.
// The vectors were made by lz4 1.9.4, zstd 1.5.4, gzip and Google's snappy (by cramjam); Kafka's snappy and
// lz4 come from the crates in @platformatic/kafka.
import { gzipSync, zstdCompressSync } from "node:zlib";
import { compressionsAlgorithms } from "@platformatic/kafka";
import fc from "fast-check";
import { Decompress as Unzstd } from "fzstd";
import { afterEach, describe, expect, test, vi } from "vitest";
import { resolveConfig } from "../../../../src/core/cluster/config.ts";
import { MAX_DECOMPRESSED_BYTES } from "../../../../src/core/limits.ts";
import { validateAppend } from "../../../../src/core/log/append.ts";
import { COMPRESSIONS, type CompressionName } from "../../../../src/core/log/compression.ts";
import { crc32c } from "../../../../src/core/log/crc32c.ts";
import {
  BATCH_HEADER_BYTES,
  type Compressor,
  compressBatches,
  encodeBatch,
  hasValidCrc,
  readBatchHeader,
} from "../../../../src/core/log/record-batch.ts";
import type { ProducerRecord } from "../../../../src/core/record.ts";
import { runs } from "../../../support/effort.ts";
import { plainRecord } from "../../../support/plain-records.ts";

/** The codecs of this runtime, and those without node:zlib. */
async function codecsOf(hasZlib: boolean) {
  vi.resetModules();
  if (!hasZlib) vi.stubGlobal("process", {});
  try {
    const codecs = {
      ...(await import("../../../../src/compression/compress.ts")),
      ...(await import("../../../../src/compression/decompress.ts")),
      ...(await import("../../../../src/compression/decode.ts")),
    };
    const { CompressionError } = await import("../../../../src/compression/compression-error.ts");
    const { BrokerError } = await import("../../../../src/core/errors.ts");
    return { ...codecs, CompressionError, BrokerError };
  } finally {
    vi.unstubAllGlobals();
    vi.resetModules(); // Other files' tests run in this process, too.
  }
}

const native = await codecsOf(true);
const fallback = await codecsOf(false);
type Codecs = typeof native;
const RUNTIMES: [string, Codecs][] = [
  ["with node:zlib", native],
  ["without node:zlib", fallback],
];

afterEach(() => {
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

type Outcome = Uint8Array | { code: string; message: string };

/** The decompressed data, or the typed error. Any other error fails the test. */
function outcome({ CompressionError, BrokerError }: Codecs, action: () => Uint8Array): Outcome {
  try {
    return action();
  } catch (error) {
    if (!(error instanceof CompressionError || error instanceof BrokerError)) throw error;
    return { code: error.code, message: error.message };
  }
}

function refusal(codecs: Codecs, type: number, folded: Uint8Array): string | undefined {
  const result = outcome(codecs, () => codecs.decompress(type, folded));
  return result instanceof Uint8Array ? undefined : result.code;
}

const hex = (text: string) => Buffer.from(text, "hex");
const utf8 = (text: string) => new TextEncoder().encode(text);
const int32 = (value: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
};

/** The clients' compressors, by name. */
const FOLD: Record<Exclude<CompressionName, "none">, (bytes: Uint8Array) => Uint8Array> = {
  gzip: (bytes) => gzipSync(bytes),
  snappy: (bytes) => compressionsAlgorithms.snappy.compressSync(Buffer.from(bytes)),
  lz4: (bytes) => compressionsAlgorithms.lz4.compressSync(Buffer.from(bytes)),
  zstd: (bytes) => zstdCompressSync(bytes),
};
const NAMES = Object.keys(FOLD) as (keyof typeof FOLD)[];

function compressorOf(name: keyof typeof FOLD): Compressor {
  return { type: COMPRESSIONS[name], compress: FOLD[name] };
}

/** snappy-java's form: a header, then raw blocks, each behind its length. */
function xerial(bytes: Uint8Array, blockBytes: number): Uint8Array {
  const pieces = [hex("82534e4150505900" + "00000001" + "00000001")];
  for (let from = 0; from < bytes.length; from += blockBytes) {
    const block = FOLD.snappy(bytes.subarray(from, from + blockBytes));
    pieces.push(int32(block.length), Buffer.from(block));
  }
  return Buffer.concat(pieces);
}

/** Frames of lz4, block by block. The descriptor's checksum is 0: no reader of ours looks at it. */
function lz4Frame(flags: number, blocks: readonly Uint8Array[], descriptor = ""): Uint8Array {
  const pieces = [hex("04224d18"), Buffer.from([flags, 0x40]), hex(descriptor), Buffer.of(0)];
  for (const block of blocks) pieces.push(Buffer.from(block));
  return Buffer.concat([...pieces, Buffer.alloc(4)]);
}

function lz4Block(block: Uint8Array, { raw = false, checksum = false } = {}): Uint8Array {
  const length = Buffer.alloc(4);
  length.writeUInt32LE(raw ? block.length + 0x80000000 : block.length);
  return Buffer.concat([length, block, Buffer.alloc(checksum ? 4 : 0, 0xcc)]);
}

/** A frame of zstd: a window of 2^`windowLog` bytes, then blocks of one repeated byte each. */
function zstdFrame(windowLog: number, blockCount: number, blockBytes = 1): Uint8Array {
  const blocks = Buffer.alloc(4 * blockCount);
  for (let i = 0; i < blockCount; i++) {
    const isLast = i === blockCount - 1 ? 1 : 0;
    blocks.writeUIntLE(isLast | (1 << 1) | (blockBytes << 3), 4 * i, 3);
    blocks[4 * i + 3] = 0x41;
  }
  return Buffer.concat([hex("28b52ffd00"), Buffer.of((windowLog - 10) << 3), blocks]);
}

const TEXT = `${"Rivulet ".repeat(6)}0123456789abcdef${"the quick brown fox ".repeat(4)}`;
const LONG = "0123456789abcdef".repeat(9_000);
/** TEXT and LONG as lz4 compresses them, behind the lengths of the blocks. */
const LZ4_TEXT =
  "8f526976756c657420080015ff153031323334353637383961626364656674686520717569636b2062726f776e20666f78201400245020666f7820";
const lz4Long = (runs: number, end: string) =>
  `ff01303132333435363738396162636465661000${"ff".repeat(runs)}${end}506263646566`;
const LZ4_LONG = `${`1b010000${lz4Long(256, "d8")}`.repeat(2)}4d000000${lz4Long(50, "8a")}000000003a2471f4`;

type Vector = [string, CompressionName, string, string];
const VECTORS: Vector[] = [
  [
    "snappy, raw",
    "snappy",
    "90011c526976756c6574209e0800903031323334353637383961626364656674686520717569636b2062726f776e20666f782074ea1400",
    TEXT,
  ],
  [
    "snappy, in two of xerial's blocks",
    "snappy",
    "82534e4150505900000000010000000100000007051068656c6c6f00000008061420776f726c64",
    "hello world",
  ],
  ["snappy, xerial's header alone", "snappy", "82534e41505059000000000100000001", ""],
  ["snappy of nothing", "snappy", "00", ""],
  ["lz4", "lz4", `04224d186440a73b000000${LZ4_TEXT}000000006866b7aa`, TEXT],
  ["lz4 without a checksum", "lz4", `04224d186040823b000000${LZ4_TEXT}00000000`, TEXT],
  [
    "lz4 with checksums of blocks",
    "lz4",
    `04224d187440bd3b000000${LZ4_TEXT}d4f1ff46000000006866b7aa`,
    TEXT,
  ],
  [
    "lz4 with the content's size",
    "lz4",
    `04224d187c409000000000000000b33b000000${LZ4_TEXT}d4f1ff46000000006866b7aa`,
    TEXT,
  ],
  ["lz4 in three independent blocks", "lz4", `04224d186440a7${LZ4_LONG}`, LONG],
  ["lz4 in three dependent blocks", "lz4", `04224d1844405e${LZ4_LONG}`, LONG],
  [
    "gzip -9",
    "gzip",
    "1f8b08000000000002030bca2c2bcd492d510822923630343236313533b7b04c4c4a4e494d2bc94855282ccd4cce56482aca2fcf5348cbaf50a0440c004123100990000000",
    TEXT,
  ],
  [
    "zstd -19, with a checksum",
    "zstd",
    "28b52ffd0468b50100c402526976756c6574203031323334353637383961626364656674686520717569636b2062726f776e20666f78200200cc4de95d5e2e400336f7",
    TEXT,
  ],
  [
    "zstd -3, without one",
    "zstd",
    "28b52ffd0058b50100c402526976756c6574203031323334353637383961626364656674686520717569636b2062726f776e20666f78200200cc4de95d59b8",
    TEXT,
  ],
];

const RECORDS: ProducerRecord[] = Array.from({ length: 40 }, (_, i) => ({
  key: i % 3 === 0 ? null : utf8(`key ${i % 7}`),
  value: i % 5 === 0 ? null : utf8(`the value of record ${i}`),
  headers: i % 4 === 0 ? [{ key: "trace", value: utf8("abc") }] : [],
  timestamp: 1_700_000_000_000 + i,
}));

/** The batch with another record count and a CRC that fits it. */
function withRecordCount(batch: Uint8Array, recordCount: number, lastOffsetDelta: number) {
  const lying = batch.slice();
  const view = new DataView(lying.buffer);
  view.setInt32(23, lastOffsetDelta);
  view.setInt32(57, recordCount);
  view.setUint32(17, crc32c(lying, 21));
  return lying;
}

describe.each(RUNTIMES)("decompressing %s", (_, codecs) => {
  test.each(VECTORS)("[ZIP-1] %s is read as it was made", (_name, type, folded, expected) => {
    const unfolded = codecs.decompress(COMPRESSIONS[type], hex(folded));
    expect(new TextDecoder().decode(unfolded)).toBe(expected);
  });

  test.each<[string, number, Uint8Array[], string, string]>([
    ["uncompressed blocks", 0x60, [lz4Block(utf8("abc"), { raw: true })], "", "abc"],
    [
      "a match into the block before",
      0x40,
      [lz4Block(utf8("0123456789abcdef"), { raw: true }), lz4Block(hex("0410005078797a2e2e"))],
      "",
      "0123456789abcdef01234567xyz..",
    ],
    [
      "a checksum behind an uncompressed block",
      0x70,
      [
        lz4Block(utf8("abc"), { raw: true, checksum: true }),
        lz4Block(utf8("def"), { raw: true, checksum: true }),
      ],
      "",
      "abcdef",
    ],
    [
      "a size that nobody checks",
      0x68,
      [lz4Block(utf8("abc"), { raw: true })],
      "ffffffffffffffff",
      "abc",
    ],
    [
      "a match that overlaps itself",
      0x60,
      [lz4Block(hex("1f61010002506262626262"))],
      "",
      `${"a".repeat(22)}bbbbb`,
    ],
    ["no block at all", 0x60, [], "", ""],
  ])("[ZIP-1] an lz4 frame with %s is read", (_name, flags, blocks, descriptor, expected) => {
    const unfolded = codecs.decompress(COMPRESSIONS.lz4, lz4Frame(flags, blocks, descriptor));
    expect(new TextDecoder().decode(unfolded)).toBe(expected);
  });

  test.each(NAMES)("[ZIP-1] anything compressed by a client's %s comes back", (name) => {
    const content = fc.oneof(
      fc.uint8Array({ maxLength: 5_000 }),
      fc
        .tuple(fc.uint8Array({ minLength: 1, maxLength: 40 }), fc.integer({ min: 1, max: 5_000 }))
        .map(([piece, times]) => Buffer.concat(Array<Uint8Array>(times).fill(piece))),
    );
    const property = fc.property(content, (bytes) => {
      const unfolded = codecs.decompress(COMPRESSIONS[name], FOLD[name](bytes));
      expect(Buffer.from(unfolded).equals(bytes)).toBe(true);
    });
    fc.assert(property, { numRuns: 60 });
  });

  test("[ZIP-1] snappy in xerial's frames comes back, however long its blocks", () => {
    const property = fc.property(
      fc.uint8Array({ maxLength: 3_000 }),
      fc.integer({ min: 1, max: 4_000 }),
      (bytes, blockBytes) => {
        const unfolded = codecs.decompress(COMPRESSIONS.snappy, xerial(bytes, blockBytes));
        expect(Buffer.from(unfolded).equals(bytes)).toBe(true);
      },
    );
    fc.assert(property, { numRuns: 60 });
  });

  test.each(NAMES)("[ZIP-1] a batch in %s is stored as received and decoded", (name) => {
    const batch = encodeBatch(RECORDS, { compression: compressorOf(name) });
    const config = resolveConfig({ "cleanup.policy": "delete" });
    const before = batch.slice();
    const append = validateAppend(batch, { config, nowMs: 0, decode: codecs.decodeAnyBatch });
    expect(append).toMatchObject({ ok: true, recordCount: RECORDS.length });
    expect(batch).toEqual(before);
    expect(readBatchHeader(batch).compression).toBe(COMPRESSIONS[name]);
    const decoded = codecs.decodeAnyBatch(batch).map(plainRecord);
    expect(decoded).toEqual(RECORDS.map((each, offset) => plainRecord({ ...each, offset })));
  });

  test.each(NAMES)("[ZIP-2] a batch in %s with a false record count is corrupt", (name) => {
    const batch = encodeBatch(RECORDS, { compression: compressorOf(name) });
    const most = Math.floor(MAX_DECOMPRESSED_BYTES / 7);
    for (const count of [0, 1, 39, 41, 10_000, most, most + 1, 2 ** 31 - 1, -1]) {
      const lying = withRecordCount(batch, count, 2 ** 31 - 1);
      expect(hasValidCrc(lying, 0, lying.length)).toBe(true);
      const result = outcome(codecs, () => {
        codecs.decodeAnyBatch(lying);
        return lying;
      });
      expect(result, `count ${count}`).toMatchObject({ code: "CORRUPT_MESSAGE" });
    }
  });

  test.each([-1, 0, 5, 6, 7])("[ZIP-2] compression %i is unknown", (type) => {
    expect(refusal(codecs, type, hex("00"))).toBe("UNSUPPORTED_COMPRESSION_TYPE");
  });

  test.each<[string, CompressionName, Uint8Array]>([
    ["gzip: nothing", "gzip", hex("")],
    ["gzip: the checksum is cut off", "gzip", gzipSync(TEXT).subarray(0, -8)],
    ["gzip: one byte is cut off", "gzip", gzipSync(TEXT).subarray(0, -1)],
    ["gzip: something else follows", "gzip", Buffer.concat([gzipSync(TEXT), utf8("and more")])],
    ["gzip: zlib's header", "gzip", hex("789c4bcac44400003e5501c9")],
    ["snappy: nothing", "snappy", hex("")],
    ["snappy: a length without an end", "snappy", hex("ffffffffffff")],
    ["snappy: a length of 4 GiB", "snappy", hex("ffffffff0f0061")],
    ["snappy: fewer bytes than it says", "snappy", hex("04086162")],
    ["snappy: more bytes than it says", "snappy", hex("010c61626364")],
    ["snappy: a copy from before the start", "snappy", hex("08006105ff")],
    ["snappy: a copy of distance 0", "snappy", hex("050061010000")],
    [
      "snappy: a copy into the block before",
      "snappy",
      hex("82534e41505059000000000100000001" + "00000006" + "040c61626364" + "00000003" + "040104"),
    ],
    ["snappy: xerial's header cut off", "snappy", hex("82534e415050590000000001")],
    ["snappy: a block longer than its frame", "snappy", hex(`${VECTORS[2]?.[2]}7fffffff00`)],
    ["snappy: a block's length cut off", "snappy", hex(`${VECTORS[2]?.[2]}0000`)],
    ["lz4: nothing", "lz4", hex("")],
    ["lz4: a block without a frame", "lz4", hex(LZ4_TEXT)],
    ["lz4: the legacy frame", "lz4", hex("02214c183b000000000000")],
    ["lz4: version 2", "lz4", lz4Frame(0xa0, [])],
    ["lz4: a dictionary", "lz4", lz4Frame(0x61, [], "00000000")],
    ["lz4: no end mark", "lz4", lz4Frame(0x60, [lz4Block(hex("1061"))]).subarray(0, -4)],
    ["lz4: a block of 2 GiB", "lz4", hex("04224d18604000ffffff7f1061")],
    ["lz4: distance 0", "lz4", lz4Frame(0x60, [lz4Block(hex("10610000"))])],
    ["lz4: a match before the start", "lz4", lz4Frame(0x60, [lz4Block(hex("10610200"))])],
    ["lz4: a length without an end", "lz4", lz4Frame(0x60, [lz4Block(hex("f0ffffff"))])],
    ["lz4: literals cut off", "lz4", lz4Frame(0x60, [lz4Block(hex("5061"))])],
    ["zstd: nothing", "zstd", hex("")],
    ["zstd: one byte is cut off", "zstd", zstdCompressSync(utf8(TEXT)).subarray(0, -1)],
    [
      "zstd: something else follows",
      "zstd",
      Buffer.concat([zstdCompressSync(utf8(TEXT)), utf8("and more")]),
    ],
    ["zstd: a dictionary", "zstd", hex("28b52ffd01000700000900004100")],
    ["zstd: the reserved bit", "zstd", hex("28b52ffd0800" + "0b000041")],
    ["zstd: the reserved kind of block", "zstd", hex("28b52ffd0000" + "0f000041")],
  ])("[ZIP-2] malformed is rejected: %s", (_name, type, folded) => {
    expect(refusal(codecs, COMPRESSIONS[type], folded)).toBe("CORRUPT_MESSAGE");
  });

  test.each<[string, CompressionName, Uint8Array[]]>([
    ["two members of gzip", "gzip", [FOLD.gzip(utf8("abc")), FOLD.gzip(utf8("def"))]],
    ["two frames of zstd", "zstd", [FOLD.zstd(utf8("abc")), FOLD.zstd(utf8("def"))]],
    [
      "zstd behind a skippable frame",
      "zstd",
      [hex("502a4d1803000000010203"), FOLD.zstd(utf8("abcdef"))],
    ],
  ])("[ZIP-1] read as a whole: %s", (_name, type, pieces) => {
    const unfolded = codecs.decompress(COMPRESSIONS[type], Buffer.concat(pieces));
    expect(new TextDecoder().decode(unfolded)).toBe("abcdef");
  });

  test.each(NAMES)(
    "[ZIP-2] truncated, changed and random %s gives bytes or CORRUPT_MESSAGE",
    (name) => {
      const folded = FOLD[name](Buffer.from(LONG.slice(0, 300) + TEXT));
      const type = COMPRESSIONS[name];
      const check = (input: Uint8Array) => {
        const result = outcome(codecs, () => codecs.decompress(type, input));
        if (result instanceof Uint8Array)
          expect(result.length).toBeLessThanOrEqual(MAX_DECOMPRESSED_BYTES);
        else expect(result.code).toBe("CORRUPT_MESSAGE");
      };
      for (let cut = 0; cut < folded.length; cut++) check(folded.subarray(0, cut));
      // Headers of zstd, which ask for memory, have a test of their own.
      const first = name === "zstd" ? 6 : 0;
      const changes = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 1, max: 255 })), {
        minLength: 1,
        maxLength: 4,
      });
      const changed = changes.map((each) => {
        const broken = Uint8Array.from(folded);
        for (const [at, xor] of each) {
          const position = first + (at % (broken.length - first));
          broken[position] = (broken[position] ?? 0) ^ xor;
        }
        return broken;
      });
      const tail = fc.uint8Array({ maxLength: 200 }).map((random) => {
        return Buffer.concat([folded.subarray(0, Math.max(first, 4)), random]);
      });
      const anything = fc.oneof(changed, fc.uint8Array({ maxLength: 300 }), tail);
      fc.assert(fc.property(anything, check), runs(60));
    },
  );
});

describe("the bound on what is unfolded", () => {
  const BOMB_BYTES = 100 * 1024 * 1024;
  const zeros = Buffer.alloc(BOMB_BYTES);
  /** One zero, then copies of 64 from one byte ago. */
  const snappyZeros = (length: number) => {
    const varint = [0, 7, 14, 21, 28].map(
      (shift) => ((length >>> shift) & 0x7f) | (shift < 28 ? 0x80 : 0),
    );
    const copies = Buffer.alloc(3 * ((length - 1) / 64), hex("fe0100"));
    return Buffer.concat([Buffer.from(varint), hex("0000"), copies]);
  };
  const xerialBlock = snappyZeros(1 + 64 * 16_384);
  const BOMBS: [string, CompressionName, Uint8Array][] = [
    ["gzip", "gzip", gzipSync(zeros)],
    [
      "gzip in many members",
      "gzip",
      Buffer.concat(Array(100).fill(gzipSync(zeros.subarray(0, 2 ** 20)))),
    ],
    ["zstd", "zstd", zstdCompressSync(zeros)],
    ["zstd that says its size", "zstd", zstdCompressSync(zeros, { pledgedSrcSize: BOMB_BYTES })],
    ["zstd in repeated bytes", "zstd", zstdFrame(17, 800, 128 * 1024)],
    [
      "lz4 in one match",
      "lz4",
      lz4Frame(0x60, [
        lz4Block(Buffer.concat([hex("1f000100"), Buffer.alloc(411_206, 0xff), hex("00")])),
      ]),
    ],
    ["lz4 of a client", "lz4", FOLD.lz4(zeros)],
    ["snappy", "snappy", snappyZeros(1 + 64 * 1_638_400)],
    [
      "snappy in many blocks",
      "snappy",
      Buffer.concat([
        xerial(zeros.subarray(0, 1), 1),
        ...Array(100).fill(Buffer.concat([int32(xerialBlock.length), xerialBlock])),
      ]),
    ],
  ];
  const TABLE = RUNTIMES.flatMap(([runtime, codecs]) =>
    BOMBS.map(([name, type, folded]) => ({ name: `${name}, ${runtime}`, codecs, type, folded })),
  );

  test.each(TABLE)("[ZIP-2] 100 MB of zeros are rejected: $name", ({ codecs, type, folded }) => {
    // Every array that our own decoders ask for, by its length.
    const lengths: number[] = [];
    class Counted extends Uint8Array<ArrayBuffer> {
      constructor(...given: ConstructorParameters<typeof Uint8Array<ArrayBuffer>>) {
        super(...given);
        const [first]: readonly unknown[] = given;
        if (typeof first === "number") lengths.push(first);
      }
    }
    expect(folded.length).toBeLessThan(6_000_000);
    vi.stubGlobal("Uint8Array", Counted);
    const result = outcome(codecs, () => codecs.decompress(COMPRESSIONS[type], folded));
    vi.unstubAllGlobals();
    expect(result).toMatchObject({ code: "CORRUPT_MESSAGE" });
    expect(Math.max(0, ...lengths)).toBeLessThanOrEqual(MAX_DECOMPRESSED_BYTES);
    expect(lengths.reduce((sum, each) => sum + each, 0)).toBeLessThan(3 * MAX_DECOMPRESSED_BYTES);
  });

  const EDGES = RUNTIMES.flatMap(([runtime, codecs]) =>
    NAMES.map((name) => ({ runtime, name, codecs })),
  );

  test.each(EDGES)(
    "[ZIP-2] $name $runtime decompresses to the bound and not a byte more",
    ({ name, codecs }) => {
      const most = FOLD[name](zeros.subarray(0, MAX_DECOMPRESSED_BYTES));
      const over = FOLD[name](zeros.subarray(0, MAX_DECOMPRESSED_BYTES + 1));
      expect(codecs.decompress(COMPRESSIONS[name], most).length).toBe(MAX_DECOMPRESSED_BYTES);
      expect(refusal(codecs, COMPRESSIONS[name], over)).toBe("CORRUPT_MESSAGE");
    },
  );

  test.each([26, 27, 28, 31, 41])(
    "[ZIP-2] a zstd window of 2^%i bytes costs no more memory than the bound, without node:zlib",
    (windowLog) => {
      // The decoder holds its window from its first piece on, so only live memory behind it counts.
      const push = Unzstd.prototype.push;
      const before = process.memoryUsage().arrayBuffers;
      let most = 0;
      vi.spyOn(Unzstd.prototype, "push").mockImplementation(function (this: Unzstd, ...given) {
        push.apply(this, given);
        most = Math.max(most, process.memoryUsage().arrayBuffers - before);
      });
      const result = outcome(fallback, () =>
        fallback.decompress(COMPRESSIONS.zstd, zstdFrame(windowLog, 5)),
      );
      if (result instanceof Uint8Array) expect(result).toEqual(new Uint8Array(5).fill(0x41));
      else expect(result.code).toBe("CORRUPT_MESSAGE");
      expect(most).toBeLessThan(1.5 * MAX_DECOMPRESSED_BYTES);
    },
  );

  test.each(RUNTIMES)(
    "[ZIP-2] a zstd frame that claims more than its blocks can hold is rejected for that, %s",
    (_, codecs) => {
      // One raw block of three bytes, in a frame that claims `size` bytes.
      const frame = (size: number) =>
        hex(`28b52ffd20${size.toString(16).padStart(2, "0")}190000616263`);
      const unfold = (size: number) => codecs.decompress(COMPRESSIONS.zstd, frame(size));
      expect(Buffer.from(unfold(3)).toString()).toBe("abc");
      expect(() => unfold(4)).toThrow("zstd: the frame claims 4 bytes");
      expect(() => unfold(255)).toThrow("zstd: the frame claims 255 bytes");
    },
  );

  test.each(RUNTIMES)(
    "[ZIP-2] many small blocks of zstd in a large window take bounded time, %s",
    (_, codecs) => {
      // 128 MiB, the window of zstd's highest level: moved for each block it would take minutes.
      const blocks = 20_000;
      const folded = zstdFrame(27, blocks);
      expect(outcome(codecs, () => codecs.decompress(COMPRESSIONS.zstd, folded))).toHaveLength(
        blocks,
      );
    },
  );
});

describe("compressing", () => {
  test("[ZIP-3] with node:zlib gzip and zstd are made at once, without it nothing is", () => {
    const types = Object.values(COMPRESSIONS);
    const made = (codecs: Codecs) => types.filter((type) => codecs.compressor(type) !== undefined);
    expect(made(native)).toEqual([COMPRESSIONS.gzip, COMPRESSIONS.zstd]);
    expect(made(fallback)).toEqual([]);
    for (const type of [COMPRESSIONS.gzip, COMPRESSIONS.zstd]) {
      const compressor = native.compressor(type);
      expect(compressor?.type).toBe(type);
      const folded = compressor?.compress(utf8(LONG)) ?? hex("");
      expect(folded.length).toBeLessThan(1_000);
      for (const [, codecs] of RUNTIMES)
        expect(Buffer.from(codecs.decompress(type, folded)).toString()).toBe(LONG);
    }
  });

  test.each(RUNTIMES)(
    "[ZIP-3] gzip is made everywhere, also from nothing and from megabytes: %s",
    async (_, codecs) => {
      for (const bytes of [hex(""), utf8(TEXT), Buffer.alloc(5_000_000, "some megabytes ")]) {
        const folded = await codecs.compressRecords(COMPRESSIONS.gzip, bytes);
        for (const [, reader] of RUNTIMES)
          expect(Buffer.from(reader.decompress(COMPRESSIONS.gzip, folded)).equals(bytes)).toBe(
            true,
          );
      }
    },
  );

  test.each([
    { runtime: "with node:zlib", codecs: native, names: ["snappy", "lz4"] as const },
    { runtime: "without node:zlib", codecs: fallback, names: ["snappy", "lz4", "zstd"] as const },
  ])(
    "[ZIP-3] an unavailable compression is rejected by its name, $runtime",
    async ({ codecs, names }) => {
      for (const name of names) {
        const refused = codecs.compressRecords(COMPRESSIONS[name], utf8(TEXT));
        await expect(refused).rejects.toThrow(codecs.CompressionError);
        await expect(refused).rejects.toMatchObject({ code: "UNSUPPORTED_COMPRESSION_TYPE" });
      }
    },
  );

  test.each([
    { runtime: "with node:zlib", codecs: native, type: COMPRESSIONS.gzip },
    { runtime: "with node:zlib", codecs: native, type: COMPRESSIONS.zstd },
    { runtime: "without node:zlib", codecs: fallback, type: COMPRESSIONS.gzip },
  ])(
    "[ZIP-3] batches are compressed one by one as compression $type, $runtime",
    async ({ codecs, type }) => {
      const small: ProducerRecord = { key: null, value: utf8("x"), headers: [], timestamp: 7 };
      const sequence = { producerId: 77, producerEpoch: 3 };
      const plain = [
        encodeBatch(RECORDS, { ...sequence, baseOffset: 10, baseSequence: 5 }),
        encodeBatch([small], { ...sequence, baseOffset: 50, baseSequence: 45 }),
        encodeBatch(RECORDS, { ...sequence, baseOffset: 51, baseSequence: 46 }),
      ];
      const compress = (bytes: Uint8Array) => codecs.compressRecords(type, bytes);
      const folded = await compressBatches(Buffer.concat(plain), type, compress);
      let start = 0;
      for (const [i, batch] of plain.entries()) {
        const header = readBatchHeader(folded, start);
        expect(hasValidCrc(folded, start, header.sizeInBytes)).toBe(true);
        const { sizeInBytes, ...rest } = readBatchHeader(batch);
        const isFolded = i !== 1; // Compressing one small record gains nothing.
        expect(header).toEqual({
          ...rest,
          sizeInBytes: isFolded ? header.sizeInBytes : sizeInBytes,
          compression: isFolded ? type : 0,
        });
        expect(header.sizeInBytes < sizeInBytes).toBe(isFolded);
        for (const [, reader] of RUNTIMES)
          expect(reader.decodeAnyBatch(folded, start).map(plainRecord)).toEqual(
            native.decodeAnyBatch(batch).map(plainRecord),
          );
        start += header.sizeInBytes;
      }
      expect(start).toBe(folded.length);
      expect(folded.length).toBeGreaterThan(3 * BATCH_HEADER_BYTES);
    },
  );

  test("[ZIP-3] nothing compressed stays nothing", async () => {
    const compress = () => Promise.reject(new Error("not asked"));
    expect(await compressBatches(hex(""), COMPRESSIONS.gzip, compress)).toHaveLength(0);
  });
});
