// Appends a record to every partition of a topic at a steady pace, until it is killed. Each partition has its turn in
// each interval, one after another, so no burst delays the measured deliveries.
//   node steady-producer.ts URL TOPIC PARTITIONS INTERVAL_MS
import { WebSocket } from "ws";
import { encodeBatch } from "../../../src/core/log/record-batch.ts";
import { writeAppendFrame } from "../../../src/protocol/append-frame.ts";

const [url = "", topic = "", ...numbers] = process.argv.slice(2);
const [partitions = 0, intervalMs = 0] = numbers.map(Number);
const TICK_MS = 2;

const sockets: WebSocket[] = [];
for (let partition = 0; partition < partitions; partition++) {
  const path = `/v1/topics/${topic}/partitions/${partition}/socket`;
  const socket = new WebSocket(`${url.replace("http", "ws")}${path}`, { perMessageDeflate: false });
  await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject));
  sockets.push(socket);
}

const startMs = performance.now();
let sent = 0;
setInterval(() => {
  const due = Math.floor(((performance.now() - startMs) / intervalMs) * partitions);
  for (; sent < due; sent++) {
    const timestamp = Date.now();
    const value = Buffer.from(String(timestamp));
    const batches = encodeBatch([{ key: null, value, headers: [], timestamp }]);
    const frame = writeAppendFrame({ requestId: sent % 2 ** 32, expectedOffset: null, batches });
    sockets[sent % partitions]?.send(frame);
  }
}, TICK_MS);
