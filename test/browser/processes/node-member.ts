// A member of a group by the SDK in Node, which reports what it handles, and when.
import { type ConsumerOptions, Rivulet } from "../../../src/sdk/index.ts";

const [url = "", options = ""] = process.argv.slice(2);
const consumer = new Rivulet({ url }).consumer(JSON.parse(options) as ConsumerOptions);
await consumer.run({
  eachRecord: ({ offset }, { partition }) => {
    const atMs = performance.timeOrigin + performance.now();
    console.log(JSON.stringify([partition, offset, atMs]));
  },
});
