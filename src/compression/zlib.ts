// The zlib that is built into Node, Workers, Deno and Bun. Browsers do not have one.

export interface Unzip extends AsyncIterable<Uint8Array> {
  readonly destroyed: boolean;
  /** Returns false if it accepts no more input before `drain`. */
  write(bytes: Uint8Array): boolean;
  end(): void;
  destroy(error?: Error): void;
  once(event: "drain" | "close", listener: () => void): void;
}

interface Zlib {
  gzipSync(bytes: Uint8Array): Uint8Array;
  gunzipSync(bytes: Uint8Array, options: { maxOutputLength: number }): Uint8Array;
  createGunzip(options: { chunkSize: number }): Unzip;
  createInflate(options: { chunkSize: number }): Unzip;
  zstdCompressSync?(bytes: Uint8Array): Uint8Array;
  zstdDecompressSync?(bytes: Uint8Array, options: { maxOutputLength: number }): Uint8Array;
}

interface WithBuiltins {
  readonly process?: { getBuiltinModule?(name: string): unknown };
}

export const ZLIB = (globalThis as WithBuiltins).process?.getBuiltinModule?.("node:zlib") as
  | Zlib
  | undefined;
