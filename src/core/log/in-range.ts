// The range of offsets that a reader may request.
import { fail, type Result } from "../errors.ts";

/** Returns OFFSET_OUT_OF_RANGE unless `logStartOffset ≤ offset ≤ highWatermark`. */
export function validateInRange(
  offset: number,
  bounds: { readonly logStartOffset: number; readonly highWatermark: number },
): Result<object> {
  const { logStartOffset, highWatermark } = bounds;
  if (offset >= logStartOffset && offset <= highWatermark) return { ok: true };
  return {
    ...fail(
      "OFFSET_OUT_OF_RANGE",
      `offset ${offset} is outside the log, which has ${logStartOffset} to ${highWatermark}`,
    ),
    logStartOffset,
    highWatermark,
  };
}
