// Kafka's compression types: their numbers in a batch's attributes, and their names in `compression` options.

export const COMPRESSIONS = { none: 0, gzip: 1, snappy: 2, lz4: 3, zstd: 4 } as const;

export type CompressionName = keyof typeof COMPRESSIONS;
export type CompressionType = (typeof COMPRESSIONS)[CompressionName];
