// SaslHandshake, SaslAuthenticate: answered as Kafka does where a listener asks for no authentication. Who may connect is
// decided before a connection gets here, by whatever stands in front of the broker.
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
