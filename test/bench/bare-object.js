// The cost of a Durable Object by itself. It has one row per message, one reply per message, a broadcast to the listeners,
// and a windowed read of the stored messages. No log, no checks, no offsets.
import { DurableObject } from "cloudflare:workers";

const FRAME_BYTES = 256 * 1024;

export class BareObject extends DurableObject {
  constructor(ctx, env) {
    super(ctx, env);
    ctx.storage.sql.exec(
      "CREATE TABLE IF NOT EXISTS log (id INTEGER PRIMARY KEY, message BLOB NOT NULL)",
    );
  }

  fetch(request) {
    const { 0: client, 1: server } = new WebSocketPair();
    const isListener = new URL(request.url).searchParams.has("listen");
    this.ctx.acceptWebSocket(server, isListener ? ["listener"] : []);
    return new Response(null, { status: 101, webSocket: client });
  }

  webSocketMessage(socket, data) {
    const { sql } = this.ctx.storage;
    if (typeof data !== "string") {
      const { id } = sql.exec("INSERT INTO log (message) VALUES (?) RETURNING id", data).one();
      for (const other of this.ctx.getWebSockets("listener")) other.send(data);
      socket.send(`{"type":"appended","id":${id}}`);
      return;
    }
    const message = JSON.parse(data);
    // read: everything from `from` on, up to `bytes`, in frames like the log's.
    let sent = 0;
    let next = message.from;
    let frame = [];
    let frameBytes = 0;
    const flush = () => {
      if (frameBytes === 0) return;
      const bytes = new Uint8Array(frameBytes);
      let position = 0;
      for (const piece of frame) {
        bytes.set(piece, position);
        position += piece.length;
      }
      socket.send(bytes);
      frame = [];
      frameBytes = 0;
    };
    for (const { id, message: blob } of sql.exec(
      "SELECT id, message FROM log WHERE id >= ? ORDER BY id",
      message.from,
    )) {
      const bytes = new Uint8Array(blob);
      if (frameBytes + bytes.length > FRAME_BYTES) flush();
      frame.push(bytes);
      frameBytes += bytes.length;
      sent += bytes.length;
      next = id + 1;
      if (sent >= message.bytes) break;
    }
    flush();
    socket.send(JSON.stringify({ type: "read", next, sent }));
  }
}

export default {
  fetch(request, env) {
    const { pathname, searchParams } = new URL(request.url);
    if (pathname === "/health") return new Response("ok");
    return env.BARE.getByName(searchParams.get("name")).fetch(request);
  },
};
