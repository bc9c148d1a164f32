// Upgrades a request to a socket that reads, at a partition and at a relay.
import { callerOfUpgrade } from "../../src/calls/socket-caller.ts";
import { fail } from "../../src/core/errors.ts";
import { type Env, isOpen } from "../../src/env.ts";
import type { SilentSockets } from "./silent-sockets.ts";
import type { SocketAccess } from "./socket-access.ts";
import { tagsOf, whyNoConnection } from "./socket-caller.ts";

export interface UpgradeParts {
  readonly ctx: Pick<DurableObjectState, "acceptWebSocket" | "getWebSockets">;
  readonly env: Env;
  readonly silent: SilentSockets;
  readonly access: SocketAccess;
  /** The kind of object, as an error names it: "partition". */
  readonly own: string;
  readonly maxSockets: number;
}

/**
 * Accepts a reader's socket, or answers why there is no room. [ACL-7] Its messages are judged by the rights of
 * the caller who opened it.
 */
export function upgradeReader(request: Request, parts: UpgradeParts): Response {
  const { ctx, env, silent, access, own, maxSockets } = parts;
  if (!silent.hasRoom(ctx.getWebSockets(), maxSockets)) {
    const detail = `the ${own} has ${maxSockets} sockets in use, the bound`;
    return Response.json(fail("THROTTLING_QUOTA_EXCEEDED", detail), { status: 429 });
  }
  const caller = callerOfUpgrade(request, isOpen(env));
  const tooMany = whyNoConnection(caller, ctx, () => silent.closeOld(Date.now()));
  if (tooMany !== null) return Response.json(tooMany, { status: 429 });
  const { 0: client, 1: server } = new WebSocketPair();
  ctx.acceptWebSocket(server, tagsOf(caller));
  access.admit(server, caller, Date.now());
  silent.add(server, Date.now());
  return new Response(null, { status: 101, webSocket: client });
}
