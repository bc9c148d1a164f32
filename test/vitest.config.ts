// Three projects in one run: the pure parts in Node, the objects inside the Workers runtime, and real
// processes over real sockets.

import { fileURLToPath } from "node:url";
import { cloudflareTest } from "@cloudflare/vitest-pool-workers";
import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";
import { vitePlugin } from "../src/self-host/browser-files.ts";
import { CONSOLE_MODULE } from "../src/self-host/console-bundle.ts";
import { DOCS_MODULE } from "../src/self-host/docs-bundle.ts";
import { quietOutput } from "./quiet-output.ts";
import { useRunFolder } from "./run-folder.ts";

quietOutput();

/** Node keeps the code it has compiled there. The tests start more than a hundred processes from the sources. */
process.env.NODE_COMPILE_CACHE ??= fileURLToPath(
  new URL("../node_modules/.cache/node", import.meta.url),
);

useRunFolder();

/** They wait longest, and begin first. */
const LONGEST = [
  "e2e/idle",
  "e2e/bounds",
  "e2e/kafka-silence",
  "e2e/files",
  "simulation/planted-faults",
  "simulation/cost",
  "e2e/standstill",
  "e2e/session-cpu",
  "e2e/backup",
  "e2e/relays",
  "e2e/trouble",
  "e2e/access-ends",
  "e2e/alerts",
  "e2e/kafka-mixed-group",
  "workers/plain-consumer",
];
/** Then the other long ones of each project, a file that waits before one that computes. */
const LONG = [
  "e2e/kill",
  "e2e/doctor",
  "e2e/cli",
  "e2e/kafka",
  "e2e/start",
  "e2e/kafka-tls",
  "e2e/kafka-producers",
  "e2e/kafka-admin",
  "workers/http",
  "workers/clock",
  "workers/kafka-bounds",
  "workers/liveness",
  "workers/idempotence",
  "workers/idempotency-keys",
  "workers/linger",
  "simulation/simulation",
  "core/log/compaction",
];

/**
 * The order of the files. A file continues in the process or runtime of the previous one if the next in line is of the same
 * project, and otherwise starts another, which costs seconds. So the files of a project follow one another.
 */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const placeIn = (names: readonly string[], { moduleId }: TestSpecification) => {
      const place = names.findIndex((name) => moduleId.endsWith(`/${name}.test.ts`));
      return place === -1 ? names.length : place;
    };
    const rank = (file: TestSpecification) => {
      const place = placeIn(LONGEST, file);
      if (place < LONGEST.length) return place;
      if (file.moduleId.includes("/workers/")) return 100 + placeIn(LONG, file);
      return (file.moduleId.includes("/e2e/") ? 200 : 300) + placeIn(LONG, file);
    };
    return (await super.sort(files)).sort((a, b) => rank(a) - rank(b));
  }
}

export default defineConfig({
  test: {
    // More than the two cores they are made for, because many files wait. `npm test` says otherwise: see run.ts.
    maxWorkers: 6,
    // The program's output in a test is shown if the test fails.
    silent: "passed-only",
    // A file is a line, however long its tests take.
    slowTestThreshold: 60_000,
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        define: { RIVULET_VERSION: '"0.0.0"' }, // As the build does.
        test: {
          name: "unit",
          include: ["test/{unit,simulation,torture,releases,tidy}/**/*.test.ts"],
          environment: "node",
          // A process for many files, because its start and its imports cost more than most of them.
          isolate: false,
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        plugins: [
          vitePlugin(CONSOLE_MODULE),
          vitePlugin(DOCS_MODULE),
          cloudflareTest({
            main: "./src/index.ts",
            wrangler: { configPath: "./wrangler.toml" },
            miniflare: { bindings: { RIVULET_OPEN: "loopback" } },
          }),
        ],
        test: {
          name: "workers",
          include: ["test/workers/**/*.test.ts"],
          setupFiles: ["test/workers/clean-up.ts", "test/workers/answers-described.ts"],
          // One runtime for many files, because its start costs more than most of them.
          isolate: false,
          testTimeout: 20_000,
        },
      },
      {
        define: { RIVULET_VERSION: '"0.0.0"' },
        test: {
          name: "e2e",
          execArgv: ["--disable-warning=TimeoutNegativeWarning"], // KafkaJS sets such timers.
          // `npm run test:examples` has the others.
          include: ["test/e2e/!(demo|examples|learn|start-page).test.ts"],
          environment: "node",
          // A process for many files, as above.
          isolate: false,
          globalSetup: ["test/e2e/build.ts"],
          setupFiles: ["test/e2e/secrets-told.ts"],
          testTimeout: 120_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
});
