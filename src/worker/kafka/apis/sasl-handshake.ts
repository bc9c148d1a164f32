// SaslHandshake (API key 17), versions 0 to 1: chooses a mechanism to sign in. It is never flexible.
// v1 carries the messages that follow in SaslAuthenticate (KIP-152). After v0 they come without a header.

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

/** [SASL-1] Begins a sign-in. The connection closes after a refusal, which lists the available mechanisms. */
export const saslHandshake = service(SASL_HANDSHAKE, async ({ mechanism }, { login, version }) => {
  const { errorCode, mechanisms } = login.handshake(mechanism, version);
  return { errorCode, mechanisms: [...mechanisms] };
});
