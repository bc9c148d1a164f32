// GET /kafka: Kafka's protocol over a WebSocket.
import { Hono } from "hono";
import { type Env, withCaller } from "../../env.ts";
import { selectVersion } from "../../protocol/version.ts";
import { nodesOf } from "../kafka/addresses.ts";
import { serveWebSocket } from "../kafka/websocket.ts";
import { whoCalls } from "./access.ts";
import { credentialOf } from "./credential.ts";
import { requireUpgrade } from "./sockets.ts";

export const kafka = new Hono<{ Bindings: Env }>().get("/", async (context) => {
  requireUpgrade(context);
  // [SASL-1] A credential of the upgrade counts until the client signs in. Without one the client has to sign
  // in.
  const credential = credentialOf(context.req.raw);
  const env =
    credential.type === "none" || context.env.caller !== undefined
      ? context.env
      : withCaller(context.env, await whoCalls(context.env, context.req.raw));
  const nodes = nodesOf(new URL(context.req.url));
  const { 0: client, 1: server } = new WebSocketPair();
  const clientHost = `/${context.req.header("cf-connecting-ip") ?? ""}`;
  context.executionCtx.waitUntil(serveWebSocket(server, env, nodes, clientHost));
  const selected = selectVersion(undefined, context.req.header("sec-websocket-protocol"));
  const headers = selected === null ? {} : { "sec-websocket-protocol": selected };
  return new Response(null, { status: 101, webSocket: client, headers } as ResponseInit);
});
