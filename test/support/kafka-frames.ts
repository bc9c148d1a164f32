// The broker's own messages the other way around: requests are written and responses read.
import { concatBytes } from "../../src/core/bytes.ts";
import type { Api } from "../../src/worker/kafka/api.ts";
import { nullableString, type Type } from "../../src/worker/kafka/schema.ts";
import { Reader, Writer } from "../../src/worker/kafka/wire.ts";

export function encodeRequest(
  api: Api,
  version: number,
  request: unknown,
  correlationId = 0,
): Uint8Array {
  const isFlexible = version >= api.flexibleFrom;
  const body = new Writer();
  body.int16(api.key);
  body.int16(version);
  body.int32(correlationId);
  nullableString.write(body, "test", { version: 0, isFlexible: false });
  if (isFlexible) body.unsignedVarint(0);
  (api.request as unknown as Type<unknown>).write(body, request, { version, isFlexible });
  return concatBytes(body.finish());
}

/** The part after the header of a response. */
export function decodeResponse<T>(api: Api, version: number, frame: Uint8Array): T {
  const isFlexible = version >= api.flexibleFrom;
  const from = new Reader(frame);
  from.int32();
  if (isFlexible && api.name !== "ApiVersions") from.unsignedVarint();
  const response = (api.response as unknown as Type<T>).read(from, { version, isFlexible });
  if (from.left > 0) throw new Error(`${from.left} bytes follow the answer`);
  return response;
}

export function framed(request: Uint8Array): Uint8Array {
  const length = new Uint8Array(4);
  new DataView(length.buffer).setInt32(0, request.length);
  return concatBytes([length, request]);
}
