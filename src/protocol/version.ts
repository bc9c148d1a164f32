// The version of the protocols over Rivulet's own sockets: the group socket, the partition socket, and plain JSON. A
// client names it when it opens a socket, as `?v=1` or as the subprotocol `rivulet.v1`.
//
//   0  Release 0.1, which names no version. It closes a socket after an unknown field or type.
//   1  Release 0.2. The receiver of a message ignores unknown fields. A message of an unknown type is answered
//      with an error and has no other effect.
//
// The SDK names it for the group socket. For a partition's socket it does not yet. Release 0.1 rejects unknown query
// parameters there, so a rollback would shut out an SDK that named it [VER-6]. It may from release 0.3 on.
//
// A message may get new fields without a new version, if its meaning stays the same for receivers that ignore them. The
// version increases when the meaning of a message changes. test/unit/protocol/messages.test.ts has the messages of each
// version.
import { BrokerError } from "../core/errors.ts";

export const SOCKET_VERSION = 1;

const SUBPROTOCOL = "rivulet.v";

/** The prefix of the subprotocol that contains the client's credential. It is never echoed. */
export const TOKEN_SUBPROTOCOL = "rivulet.token.";

/**
 * [VER-7] Returns the subprotocol to select, or null if the client offers none of ours. `v` is the version in the
 * query, and `offered` the value of Sec-WebSocket-Protocol. Other offered protocols are ignored.
 * @throws BrokerError UNSUPPORTED_VERSION if the client supports only versions that this release does not know
 */
export function selectVersion(v: number | undefined, offered: string | undefined): string | null {
  const names = (offered ?? "").split(",").map((name) => name.trim());
  const versions = names
    .filter((name) => /^rivulet\.v\d{1,9}$/.test(name))
    .map((name) => Number(name.slice(SUBPROTOCOL.length)));
  const known = versions.filter((version) => version <= SOCKET_VERSION);
  const wrong =
    v !== undefined && v > SOCKET_VERSION ? v : known.length === 0 ? versions[0] : undefined;
  if (wrong !== undefined)
    throw new BrokerError(
      "UNSUPPORTED_VERSION",
      `v is ${wrong}, this broker supports versions 0 to ${SOCKET_VERSION} of the socket protocol; update it, or use an older client`,
    );
  return known.length === 0 ? null : `${SUBPROTOCOL}${Math.max(...known)}`;
}
