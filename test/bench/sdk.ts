// The SDK from end to end against the usual alternatives for a JavaScript program: Redis Streams and NATS JetStream. Each
// has with its own server and client on this machine.
import { benchCatchUp } from "./sdk/catch-up.ts";
import { benchLatency } from "./sdk/latency.ts";
import { startNats } from "./sdk/nats.ts";
import { benchProduce } from "./sdk/produce.ts";
import { startRedis } from "./sdk/redis.ts";
import { startRivulet } from "./sdk/rivulet.ts";
import type { Side } from "./sdk/side.ts";

const PARTS: Readonly<Record<string, (sides: readonly Side[]) => Promise<void>>> = {
  produce: benchProduce,
  "catch-up": benchCatchUp,
  latency: benchLatency,
};

const PEERS: Readonly<Record<string, () => Promise<Side | null>>> = {
  "redis-server": startRedis,
  "nats-server": startNats,
};

export async function benchSdk(): Promise<void> {
  const filter = process.argv[3] ?? "";
  const parts = Object.entries(PARTS).filter(([name]) => name.includes(filter));
  if (parts.length === 0) {
    console.log(`Nothing has "${filter}" in its name: ${Object.keys(PARTS).join("; ")}`);
    return;
  }
  const sides: Side[] = [];
  try {
    sides.push(await startRivulet());
    for (const [command, start] of Object.entries(PEERS)) {
      const side = await start();
      if (side !== null) sides.push(side);
      else console.log(`${command} is not on PATH, left out: apt-get install ${command}`);
    }
    for (const { name, note } of sides) console.log(`${name}: ${note}`);
    console.log("Ratios are the median of the rounds' ratios (from the least to the greatest).\n");
    for (const [, run] of parts) await run(sides);
  } finally {
    for (const side of sides) await side.stop();
  }
}
