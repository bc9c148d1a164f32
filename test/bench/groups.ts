// Consumer groups: what assigning costs, who notices a rebalance, and what idle members wake. Also how soon a dead member's
// partitions move while a slow one's stay. Each part has its own broker.
import { benchAssign } from "./groups/assign.ts";
import { benchHandler } from "./groups/handler.ts";
import { benchIdle } from "./groups/idle.ts";
import { benchRebalance } from "./groups/rebalance.ts";

const PARTS: Readonly<Record<string, () => Promise<void>>> = {
  assign: benchAssign,
  rebalance: benchRebalance,
  idle: benchIdle,
  handler: benchHandler,
};

export async function benchGroups(): Promise<void> {
  const filter = process.argv.slice(3).find((argument) => !argument.startsWith("--")) ?? "";
  const parts = Object.entries(PARTS).filter(([name]) => name.includes(filter));
  if (parts.length === 0)
    console.log(`Nothing has "${filter}" in its name: ${Object.keys(PARTS).join("; ")}`);
  for (const [, run] of parts) await run();
}
