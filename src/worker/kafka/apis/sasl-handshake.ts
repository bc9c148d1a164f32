// SaslHandshake (API key 17), versions 0 to 1: asks for a way to log in. It is never flexible.
// v1 carries the tokens that follow in SaslAuthenticate (KIP-152).
//
// Unlike Kafka:
// - Nobody logs in here. It is answered as a Kafka listener without authentication answers it [KFK-22]. The proxy in
//   front of the broker decides who may connect, before a connection gets here.

import { KAFKA_ERRORS } from "../../../core/errors.ts";
import { api, NEVER_FLEXIBLE } from "../api.ts";
import { service } from "../context.ts";
import { array, int16, string, struct } from "../schema.ts";

export const SASL_HANDSHAKE = api({
  key: 17,
  name: "SaslHandshake",
  versions: [0, 1],
  flexibleFrom: NEVER_FLEXIBLE,
  request: struct({ mechanism: string }),
  response: struct({ errorCode: int16, mechanisms: array(string) }),
});

export const saslHandshake = service(SASL_HANDSHAKE, async () => ({
  errorCode: KAFKA_ERRORS.ILLEGAL_SASL_STATE,
  mechanisms: [],
}));
