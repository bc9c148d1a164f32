// The program, evaluated with the clock, chance, timers and sockets of the simulation instead of the runtime's own. A
// planted fault changes the text of one of its files.
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { compileFunction } from "node:vm";
import { build, type Plugin } from "esbuild";
import type { Rivulet } from "../../src/sdk/index.ts";
import { CONSOLE_MODULE } from "../../src/self-host/console-bundle.ts";
import { DOCS_MODULE } from "../../src/self-host/docs-bundle.ts";
import type { InstanceClass } from "./object.ts";

/** program.ts, as seen from here: its types are the Workers runtime's, which are incompatible with Node's. */
export interface Exports {
  readonly ClusterObject: InstanceClass;
  readonly GroupObject: InstanceClass;
  readonly PartitionObject: InstanceClass;
  readonly RelayObject: InstanceClass;
  readonly Rivulet: typeof Rivulet;
  readonly forgetEverything: () => void;
  readonly app: { fetch(request: unknown, env: unknown, context: unknown): unknown };
}

/** The replacements for the globals of the program's runtime. */
export interface Globals {
  readonly Date: unknown;
  readonly Math: unknown;
  readonly performance: unknown;
  readonly crypto: unknown;
  readonly setTimeout: unknown;
  readonly clearTimeout: unknown;
  readonly MessageChannel: unknown;
  readonly console: unknown;
  readonly fetch: unknown;
  readonly Request: unknown;
  readonly Response: unknown;
  readonly WebSocket: unknown;
  readonly WebSocketPair: unknown;
  readonly WebSocketRequestResponsePair: unknown;
  /** Code from strings is not allowed in Workers either. */
  readonly Function: unknown;
}

const NAMES = [
  "Date",
  "Math",
  "performance",
  "crypto",
  "setTimeout",
  "clearTimeout",
  "MessageChannel",
  "console",
  "fetch",
  "Request",
  "Response",
  "WebSocket",
  "WebSocketPair",
  "WebSocketRequestResponsePair",
  "Function",
] as const satisfies readonly (keyof Globals)[];

export interface PlantedFault {
  readonly name: string;
  /** It is looked for among readers that follow to relays: relays.ts. */
  readonly isOfRelays?: true;
  /** It takes more than a few seeds to find. */
  readonly isRare?: true;
  /** From the project's root. */
  readonly file: string;
  /** It must occur exactly once in the file: the table cannot go stale. */
  readonly original: string;
  readonly planted: string;
  /** A seed that finds it, to be tried first. It may go stale: then the others are tried. */
  readonly seed?: number;
}

/** A change of the text of one file. */
type Change = Pick<PlantedFault, "name" | "file" | "original" | "planted">;

/** Smaller bounds in the simulation, so that it reaches what lies beyond them. */
const SMALLER_BOUNDS: readonly Change[] = [
  {
    name: "the rows of a group's ring of commits",
    file: "durable-objects/group/stored-positions.ts",
    original: "const RING_ROWS = 16;",
    planted: "const RING_ROWS = 3;",
  },
  {
    name: "the readers that a partition serves itself",
    file: "src/core/limits.ts",
    original: "export const MAX_DIRECT_READERS = 50;",
    planted: "export const MAX_DIRECT_READERS = 2;",
  },
  {
    name: "the readers of a relay",
    file: "src/core/limits.ts",
    original: "export const MAX_READERS_PER_RELAY = 500;",
    planted: "export const MAX_READERS_PER_RELAY = 3;",
  },
];

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** Nobody in the world has a browser, and building the pages for each bundle takes as long as a seed. */
const WITHOUT_PAGES: Plugin = {
  name: "without-pages",
  setup: (build) => {
    const filter = new RegExp(`^(${CONSOLE_MODULE.name}|${DOCS_MODULE.name})$`);
    build.onResolve({ filter }, ({ path }) => ({ path, namespace: "without-pages" }));
    build.onLoad({ filter: /.*/, namespace: "without-pages" }, () => ({
      contents: "export const FILES = [], FRAMES = {}, VERSION = '';",
    }));
  },
};

let program: Promise<Exports> | undefined;

/** The globals refer to the current world, so one evaluation of the program serves all. */
export function bundle(globals: Globals, faults: readonly PlantedFault[] = []): Promise<Exports> {
  if (faults.length > 0) return evaluated(globals, faults);
  program ??= evaluated(globals, []);
  return program;
}

async function evaluated(globals: Globals, faults: readonly PlantedFault[]): Promise<Exports> {
  const changes: readonly Change[] = [...SMALLER_BOUNDS, ...faults];
  const changed = changes.map(({ file }) => file.replaceAll(".", "\\."));
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL("program.ts", import.meta.url))],
    bundle: true,
    write: false,
    format: "cjs",
    target: "esnext",
    platform: "neutral",
    external: ["cloudflare:workers", "cloudflare:durable-objects"],
    mainFields: ["module", "main"],
    conditions: ["workerd", "worker", "browser"],
    logLevel: "error",
    plugins: [
      WITHOUT_PAGES,
      {
        name: "planted-faults",
        setup({ onLoad }) {
          onLoad({ filter: new RegExp(`/(${changed.join("|")})$`) }, async ({ path }) => {
            let contents = await readFile(path, "utf8");
            for (const { name, file, original, planted } of changes) {
              if (path !== ROOT + file) continue;
              const parts = contents.split(original);
              if (parts.length !== 2) {
                const found = `${parts.length - 1} times in ${file}`;
                throw new Error(`"${name}": its original is found ${found}`);
              }
              contents = parts.join(planted);
            }
            return { contents, loader: "ts" };
          });
        },
      },
    ],
  });
  const source = outputFiles[0]?.text ?? "";
  const evaluate = compileFunction(source, ["module", "exports", "require", ...NAMES]);
  const module = { exports: {} };
  evaluate(module, module.exports, requireWorkers, ...NAMES.map((name) => globals[name]));
  return module.exports as Exports;
}

/** The base class of the objects, as far as they use it. */
class DurableObject {
  readonly ctx: unknown;
  readonly env: unknown;

  constructor(ctx: unknown, env: unknown) {
    this.ctx = ctx;
    this.env = env;
  }
}

/** The runtime's modules. In the simulation the platform repeats no call. */
function requireWorkers(): object {
  return { DurableObject, retryable() {} };
}
