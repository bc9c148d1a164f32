// GET /kafka: Kafka's protocol over a WebSocket.
import { Hono } from "hono";
import type { Env } from "../../env.ts";
import { nodesOf } from "../kafka/addresses.ts";
import { serveWebSocket } from "../kafka/websocket.ts";
import { requireUpgrade } from "./sockets.ts";

export const kafka = new Hono<{ Bindings: Env }>().get("/", (context) => {
  requireUpgrade(context);
  const nodes = nodesOf(new URL(context.req.url));
  const { 0: client, 1: server } = new WebSocketPair();
  const clientHost = `/${context.req.header("cf-connecting-ip") ?? ""}`;
  context.executionCtx.waitUntil(serveWebSocket(server, context.env, nodes, clientHost));
  return new Response(null, { status: 101, webSocket: client });
});
