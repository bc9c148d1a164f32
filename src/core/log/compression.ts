// Kafka's compression types, as numbered in a batch's attributes and named in `compression` options.

export const COMPRESSIONS = { none: 0, gzip: 1, snappy: 2, lz4: 3, zstd: 4 } as const;

export type CompressionName = keyof typeof COMPRESSIONS;
export type CompressionType = (typeof COMPRESSIONS)[CompressionName];
