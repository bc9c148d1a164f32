// `npm run bench -- NAME`: measurements side by side in one run, as ratios and medians. Never part of `npm test`: the
// results depend on the machine and its other load.
import { installNativeClient } from "../e2e/kafka/native-client.ts";

/** Each is loaded when it runs, because Kafka's needs librdkafka. */
const BENCHES: Readonly<Record<string, () => Promise<void>>> = {
  log: async () => (await import("./log.ts")).benchLog(),
  linger: async () => (await import("./linger.ts")).benchLinger(),
  groups: async () => (await import("./groups.ts")).benchGroups(),
  sdk: async () => (await import("./sdk.ts")).benchSdk(),
  scale: async () => (await import("./scale.ts")).benchScale(),
  "fan-out": async () => (await import("./fan-out.ts")).benchFanOut(),
  auth: async () => (await import("./auth.ts")).benchAuth(),
  cpu: async () => (await import("./cpu.ts")).benchCpu(),
  kafka: async () => {
    await installNativeClient();
    await (await import("./kafka.ts")).benchKafka();
  },
};

const name = process.argv[2] ?? "";
const bench = BENCHES[name];
if (bench === undefined) {
  console.error(`Usage: npm run bench -- <${Object.keys(BENCHES).join("|")}>`);
  process.exit(2);
}
await bench();
