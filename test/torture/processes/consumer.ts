// A member of a group by the SDK that writes down all its events, until SIGTERM.
import { setImmediate, setTimeout } from "node:timers/promises";
import type { ConsumerRecord } from "../../../src/sdk/index.ts";
import { HistoryWriter } from "../history.ts";
import { sdkAt } from "../sdk.ts";

export interface ConsumerArguments {
  readonly folder: string;
  readonly who: string;
  readonly url: string;
  /** The path of another SDK than this tree's. */
  readonly sdk?: string;
  readonly topic: string;
  readonly group: string;
  readonly handler: "eachRecord" | "slow eachRecord" | "eachBatch";
  readonly sessionTimeoutMs: number;
  readonly instanceId?: string;
}

const own = JSON.parse(process.argv[2] ?? "") as ConsumerArguments;
const { folder, who, url, topic, group, handler, sessionTimeoutMs, instanceId } = own;
const { BrokerError, Rivulet } = await sdkAt(own.sdk);
// The SDK checks its session's clock right before each record. A process can still be stopped between that check and the
// handler's first line: a start is judged by the time of the check.
let lookedNs = 0;
const now = Date.now;
Date.now = () => {
  lookedNs = Number(process.hrtime.bigint());
  return now();
};

const history = new HistoryWriter(folder, who);
const utf8 = new TextDecoder();
const numbers = (places: readonly { partition: number }[]) =>
  places.map(({ partition }) => partition);

function start(p: number, records: readonly ConsumerRecord[]) {
  const o = records[0]?.offset ?? 0;
  const ids = records.map(({ value }) => utf8.decode(value ?? undefined).split(" ")[0] ?? "");
  history.write({ e: "start", p, o, ids, lookedNs });
  return () => history.write({ e: "end", p, o, count: records.length });
}

history.write({ e: "member", group, topic, kind: "sdk" });
const consumer = new Rivulet({ url }).consumer({
  groupId: group,
  topics: [topic],
  clientId: who,
  sessionTimeoutMs,
  commitIntervalMs: 200,
  ...(instanceId === undefined ? {} : { instanceId }),
  onAssigned: (places) =>
    history.write({
      e: "assigned",
      places: places.map(({ partition, offset }) => [partition, offset]),
    }),
  onRevoked: (places) => history.write({ e: "revoked", partitions: numbers(places) }),
  onLost: (places) => history.write({ e: "lost", partitions: numbers(places) }),
  onError: ({ code, message }) => history.write({ e: "warning", code, detail: message }),
});
process.on("SIGTERM", () => consumer.close());
try {
  await consumer.run(
    handler === "eachBatch"
      ? {
          eachBatch: async ({ partition, records }) => {
            const end = start(partition, records);
            await setTimeout(20);
            end();
          },
        }
      : {
          eachRecord: (record, { partition }) => {
            const end = start(partition, [record]);
            if (handler === "eachRecord") return end();
            // Mostly busy, so that most faults hit the middle of its work.
            const work = record.offset % 10 === 0 ? setTimeout(10) : setImmediate();
            return work.then(end);
          },
        },
  );
} catch (error) {
  const code = error instanceof BrokerError ? error.code : "not a BrokerError";
  history.write({ e: "fatal", code, detail: String(error) });
  process.exitCode = 1;
}
