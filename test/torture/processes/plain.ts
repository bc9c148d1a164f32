// A plain WebSocket client in a group: no SDK. It connects again whenever its socket breaks, until SIGTERM.
import { HistoryWriter, type Place } from "../history.ts";

export interface PlainArguments {
  readonly folder: string;
  readonly who: string;
  readonly url: string;
  readonly topic: string;
  readonly group: string;
  readonly sessionTimeoutMs: number;
  readonly instanceId?: string;
}

type Message =
  | {
      readonly type: "assigned";
      readonly partitions: readonly { readonly partition: number; readonly offset: number }[];
    }
  | {
      readonly type: "revoked";
      readonly partitions: readonly { readonly partition: number }[];
      readonly lost?: true;
    }
  | {
      readonly type: "records";
      readonly partition: number;
      readonly records: readonly { readonly offset: number; readonly value: string }[];
    }
  | { readonly type: "error"; readonly code: string; readonly detail: string };

const RECONNECT_AFTER_MS = 200;
const PING_EVERY_MS = 1_000;

const { folder, who, url, topic, group, sessionTimeoutMs, instanceId } = JSON.parse(
  process.argv[2] ?? "",
) as PlainArguments;
const history = new HistoryWriter(folder, who);
const query = new URLSearchParams({
  topics: topic,
  ack: "explicit",
  clientId: who,
  sessionTimeoutMs: String(sessionTimeoutMs),
  ...(instanceId === undefined ? {} : { instanceId }),
});
const address = `${url.replace("http", "ws")}/v1/groups/${group}/consume?${query}`;
history.write({ e: "member", group, topic, kind: "plain" });
let isStopping = false;
let socket = open();

process.on("SIGTERM", () => {
  isStopping = true;
  socket.close(1000);
});

function open(): WebSocket {
  const opened = new WebSocket(address);
  const held = new Set<number>();
  let isPinged = false;
  const pings = setInterval(() => {
    if (opened.readyState !== WebSocket.OPEN || isPinged) return;
    isPinged = true;
    history.write({ e: "ping" });
    opened.send("ping");
  }, PING_EVERY_MS);
  opened.addEventListener("message", ({ data }) => {
    if (data === "pong") {
      isPinged = false;
      history.write({ e: "pong" });
    } else {
      receive(opened, held, JSON.parse(String(data)) as Message);
    }
  });
  opened.addEventListener("error", () => {}); // The close event follows.
  opened.addEventListener("close", ({ code, reason }) => {
    clearInterval(pings);
    history.write({ e: "lost", partitions: [...held] });
    history.write({ e: "warning", code: `closed ${code}`, detail: reason });
    if (isStopping) return;
    setTimeout(() => {
      if (!isStopping) socket = open();
    }, RECONNECT_AFTER_MS);
  });
  return opened;
}

function receive(from: WebSocket, held: Set<number>, message: Message): void {
  switch (message.type) {
    case "assigned": {
      const places = message.partitions.map(({ partition, offset }): Place => [partition, offset]);
      for (const [partition] of places) held.add(partition);
      history.write({ e: "assigned", places });
      return;
    }
    case "revoked": {
      const partitions = message.partitions.map(({ partition }) => partition);
      for (const partition of partitions) held.delete(partition);
      history.write({ e: message.lost ? "lost" : "revoked", partitions });
      return;
    }
    case "records": {
      const { partition, records } = message;
      const o = records[0]?.offset ?? 0;
      const ids = records.map(({ value }) => value.split(" ")[0] ?? "");
      history.write({ e: "start", p: partition, o, ids });
      history.write({ e: "end", p: partition, o, count: records.length });
      const offset = o + records.length - 1;
      from.send(JSON.stringify({ type: "ack", topic, partition, offset }));
      return;
    }
    case "error":
      history.write({ e: "warning", code: message.code, detail: message.detail });
  }
}
