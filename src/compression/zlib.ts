// The zlib that Node, Workers, Deno and Bun have built in. Browsers have none.

interface Zlib {
  gzipSync(bytes: Uint8Array): Uint8Array;
  gunzipSync(bytes: Uint8Array, options: { maxOutputLength: number }): Uint8Array;
  zstdCompressSync?(bytes: Uint8Array): Uint8Array;
  zstdDecompressSync?(bytes: Uint8Array, options: { maxOutputLength: number }): Uint8Array;
}

interface WithBuiltins {
  readonly process?: { getBuiltinModule?(name: string): unknown };
}

export const ZLIB = (globalThis as WithBuiltins).process?.getBuiltinModule?.("node:zlib") as
  | Zlib
  | undefined;
