// The answer to a read of stored batches: whole RecordBatches as the body, and everything else in headers.

/** The names of the headers. */
export const BATCH_HEADERS = {
  /** The id of the topic that was read. A topic created again under the same name has a new one. */
  topicId: "rivulet-topic-id",
  /** The offset after the last batch. */
  nextOffset: "rivulet-next-offset",
  logStartOffset: "rivulet-log-start-offset",
  highWatermark: "rivulet-high-watermark",
} as const;
