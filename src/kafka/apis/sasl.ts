// SaslHandshake, SaslAuthenticate. They are answered as a Kafka listener without authentication answers them. The proxy
// in front of the broker decides who may connect, before a connection gets here.
import { KAFKA_ERRORS } from "../../core/errors.ts";
import { service } from "../context.ts";
import { SASL_AUTHENTICATE, SASL_HANDSHAKE } from "../messages.ts";

export const saslHandshake = service(SASL_HANDSHAKE, async () => ({
  errorCode: KAFKA_ERRORS.ILLEGAL_SASL_STATE,
  mechanisms: [],
}));

export const saslAuthenticate = service(SASL_AUTHENTICATE, async () => ({
  errorCode: KAFKA_ERRORS.ILLEGAL_SASL_STATE,
  errorMessage: "this broker asks for no SASL authentication; connect without it",
  authBytes: new Uint8Array(),
}));
