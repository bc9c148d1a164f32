// SaslAuthenticate (API key 36), versions 0 to 2: carries the tokens of a log-in.
// v1 adds `sessionLifetimeMs` to the answer (KIP-368).
// v2 makes fields flexible (KIP-482).
//
// Unlike Kafka:
// - Nobody logs in here. See sasl-handshake.ts.

import { KAFKA_ERRORS } from "../../../core/errors.ts";
import { api } from "../api.ts";
import { service } from "../context.ts";
import { bytes, int16, int64, nullableString, since, struct } from "../schema.ts";

export const SASL_AUTHENTICATE = api({
  key: 36,
  name: "SaslAuthenticate",
  versions: [0, 2],
  flexibleFrom: 2,
  request: struct({ authBytes: bytes }),
  response: struct({
    errorCode: int16,
    errorMessage: nullableString,
    authBytes: bytes,
    sessionLifetimeMs: since(1, int64),
  }),
});

export const saslAuthenticate = service(SASL_AUTHENTICATE, async () => ({
  errorCode: KAFKA_ERRORS.ILLEGAL_SASL_STATE,
  errorMessage: "this broker asks for no SASL authentication; connect without it",
  authBytes: new Uint8Array(),
}));
