// The version of the conversations over Rivulet's own sockets: the group socket, the partition socket, and plain JSON. A
// socket names it when it opens, as `?v=1` or as the subprotocol `rivulet.v1`.
//
//   0  Release 0.1, which names no version. It closes a socket over a field or a type that it does not know.
//   1  Release 0.2. Whoever receives a message ignores fields that it does not know. A message of an unknown type is
//      answered with an error and does nothing else.
//
// The SDK names it at the group socket. At a partition's socket it does not yet: release 0.1 refuses a query there that it
// does not know, so an SDK that named it would be shut out by a rollback [VER-6]. It may from release 0.3 on.
//
// A message may get fields without a new version, if it means the same to those who ignore them. The version grows
// when a message gets another meaning. test/unit/protocol/messages.test.ts holds the messages of each version.
import { BrokerError } from "../core/errors.ts";

export const SOCKET_VERSION = 1;

const SUBPROTOCOL = "rivulet.v";

/** The subprotocol by which a socket says who opens it. The token follows. It is never echoed. */
export const TOKEN_SUBPROTOCOL = "rivulet.token.";

/**
 * [VER-7] Returns the subprotocol to select, or null if the client offers none of ours. `v` is the version in the query,
 * `offered` the value of Sec-WebSocket-Protocol. Other protocols on offer do not count.
 * @throws BrokerError UNSUPPORTED_VERSION if the client speaks only versions that this release does not know
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
      `v is ${wrong}, this broker speaks versions 0 to ${SOCKET_VERSION} of the socket protocol; update it, or use an older client`,
    );
  return known.length === 0 ? null : `${SUBPROTOCOL}${Math.max(...known)}`;
}
