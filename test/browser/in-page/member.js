// Runs inside the page: a member of a group that reports what it handles, and when.
import { Rivulet } from "./sdk/client.js";

globalThis.member = (url, options) => {
  const consumer = new Rivulet({ url }).consumer(options);
  globalThis.leave = () => consumer.close();
  void consumer.run({
    eachRecord: ({ offset }, { partition }) =>
      globalThis.handled(partition, offset, performance.timeOrigin + performance.now()),
  });
};
