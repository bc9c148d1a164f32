// Classic groups under chance: clients come, go, die during a phase and return, and the object is evicted.
import { test } from "vitest";
import { ClassicWorld } from "../../../support/classic-world.ts";
import { runs } from "../../../support/effort.ts";
import { Random } from "../../../support/random.ts";

const STEPS = 40;

function live(
  seed: number,
  faults: { readonly evictions?: boolean; readonly clock?: boolean },
): void {
  const random = new Random(seed);
  const world = new ClassicWorld(random);
  for (let step = 0; step < STEPS; step++) {
    const fault = random.integer(1, 16);
    const client = world.alive.length === 0 ? null : random.pick(world.alive);
    if (fault <= 3 && world.alive.length < 5)
      world.start(random.chance(0.4) ? `static-${random.integer(1, 2)}` : null);
    else if (fault === 4 && client !== null) world.die(client);
    else if (fault === 5 && client !== null) world.leave(client);
    else if (fault === 6 && client?.instanceId) world.restart(client);
    else if (fault === 7 && faults.evictions) world.evict();
    else if (fault === 8 && faults.clock) world.setClock();
    else if (fault === 9 && client !== null) world.ask(client);
    else if (fault === 10 && client !== null) world.subscribe(client);
    else if (fault === 11 && random.chance(0.5)) world.deleteTopic();
    else if (fault <= 13 && client !== null) world.act(client);
    else world.tick();
  }
  world.settle();
}

test.each([
  { title: "members", faults: {} },
  { title: "members and evictions", faults: { evictions: true } },
  { title: "members and the clock", faults: { clock: true } },
])(
  "[CLS-1] [CLS-3] [CLS-7] whatever $title do: one generation, one reader, and it comes to rest",
  ({ faults }) => {
    for (let seed = 1; seed <= runs(40).numRuns; seed++) {
      try {
        live(seed, faults);
      } catch (cause) {
        throw new Error(`seed ${seed}`, { cause });
      }
    }
  },
);
