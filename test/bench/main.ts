// `npm run bench -- NAME`: measurements side by side in one run, as ratios and medians. Never part of
// `npm test`: what is measured depends on the machine and on what else it does.
import { benchGroups } from "./groups.ts";
import { benchKafka } from "./kafka.ts";
import { benchLog } from "./log.ts";
import { benchSdk } from "./sdk.ts";

const BENCHES: Readonly<Record<string, () => Promise<void>>> = {
  log: benchLog,
  groups: benchGroups,
  sdk: benchSdk,
  kafka: benchKafka,
};

const name = process.argv[2] ?? "";
const bench = BENCHES[name];
if (bench === undefined) {
  console.error(`Usage: npm run bench -- <${Object.keys(BENCHES).join("|")}>`);
  process.exit(2);
}
await bench();
