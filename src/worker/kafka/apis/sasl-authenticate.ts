// SaslAuthenticate (API key 36), versions 0 to 2: carries the messages of a sign-in.
// v1 adds `sessionLifetimeMs` to the answer (KIP-368).
// v2 makes fields flexible (KIP-482).

import { errorCodeOf } from "../../../core/errors.ts";
import { api } from "../api.ts";
import { service } from "../context.ts";
import { NO_ERROR } from "../errors.ts";
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

/** [SASL-1] Takes one message of a sign-in. The connection closes after a refusal. */
export const saslAuthenticate = service(SASL_AUTHENTICATE, async ({ authBytes }, { login }) => {
  const answer = await login.authenticate(authBytes);
  if (answer.type === "refused")
    return {
      errorCode: errorCodeOf(answer.error),
      errorMessage: answer.detail,
      authBytes: new Uint8Array(),
    };
  const sessionLifetimeMs = answer.type === "done" ? answer.sessionLifetimeMs : 0;
  return { ...NO_ERROR, authBytes: answer.bytes, sessionLifetimeMs };
});
