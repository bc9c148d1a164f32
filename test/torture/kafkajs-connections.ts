// KafkaJS 2.2 keeps the beginning of a response whose connection broke, and takes the data of its next connection for the
// rest. Then it ends with a RangeError, or hears nothing any more. Here each connection begins with nothing.
import { createRequire } from "node:module";

interface Connection {
  isConnected(): boolean;
  connect(): Promise<unknown>;
  bytesBuffered: number;
  bytesNeeded: number;
  chunks: Buffer[];
}

const LENGTH_BYTES = 4;

export function mendConnections(): void {
  const require = createRequire(import.meta.url);
  const { prototype } = require("kafkajs/src/network/connection.js") as { prototype: Connection };
  const { connect } = prototype;
  prototype.connect = function (this: Connection) {
    if (!this.isConnected()) {
      this.bytesBuffered = 0;
      this.bytesNeeded = LENGTH_BYTES;
      this.chunks = [];
    }
    return connect.call(this);
  };
}
