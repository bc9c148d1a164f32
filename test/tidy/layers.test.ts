// The layers of ARCHITECTURE.md, read from the imports.
import { readFileSync } from "node:fs";
import { dirname, normalize } from "node:path";
import { expect, test } from "vitest";
import { filesBelow } from "./files.ts";

/**
 * The allowed imports of each layer, besides itself. Packages by name; type imports count like any other. The Worker and the
 * objects never import the SDK: what they share with it is in `member` and `admin`.
 */
const LAYERS: Record<
  string,
  { readonly layers: readonly string[]; readonly packages: readonly RegExp[] }
> = {
  // Shared by everything.
  "src/core": { layers: [], packages: [/^re2js$/] },
  "src/compression": { layers: ["src/core"], packages: [/^fflate$/, /^fzstd$/] },
  "src/protocol": { layers: ["src/core"], packages: [/^zod$/] },
  // Shared by the SDK and the Worker.
  "src/member": { layers: ["src/core", "src/compression", "src/protocol"], packages: [] },
  "src/admin": { layers: ["src/core", "src/protocol"], packages: [] },
  // The SDK, and what is built on it.
  "src/sdk": {
    layers: ["src/core", "src/compression", "src/protocol", "src/member", "src/admin"],
    packages: [],
  },
  "src/kafkajs": { layers: ["src/protocol"], packages: [/^node:/] },
  "src/cli": {
    layers: [
      "src/core",
      "src/compression",
      "src/protocol",
      "src/member",
      "src/admin",
      "src/sdk",
      "src/self-host",
    ],
    packages: [/^commander$/, /^ws$/, /^node:/],
  },
  // Code that runs in browsers. The console does not bring the SDK, and so nothing of the lesson.
  "src/console/learn": {
    layers: ["src/core", "src/protocol", "src/member", "src/sdk", "src/console"],
    packages: [/^preact(\/hooks)?$/, /^@preact\/signals$/],
  },
  "src/console": {
    layers: ["src/core", "src/protocol"],
    packages: [/^preact(\/hooks)?$/, /^@preact\/signals$/],
  },
  "src/docs": {
    layers: ["src/console"],
    packages: [/^preact(\/hooks)?$/, /^minisearch$/],
  },
  // Shared by the Worker and the objects.
  "src/calls": { layers: ["src/core", "src/protocol"], packages: [/^zod$/] },
  "src/env.ts": { layers: ["src/core", "src/calls", "src/storage-health.ts"], packages: [] },
  "src/log.ts": { layers: [], packages: [] },
  "src/storage-health.ts": { layers: ["src/core", "src/log.ts"], packages: [] },
  "src/budgets.ts": { layers: ["src/core", "src/calls"], packages: [] },
  "src/memory.ts": { layers: ["src/core"], packages: [] },
  "src/audit-log.ts": { layers: ["src/core", "src/env.ts"], packages: [] },
  // The Worker.
  "src/worker/edge": {
    layers: [
      "src/budgets.ts",
      "src/log.ts",
      "src/core",
      "src/compression",
      "src/protocol",
      "src/calls",
      "src/member",
      "src/env.ts",
      "src/audit-log.ts",
      "src/memory.ts",
    ],
    packages: [],
  },
  "src/worker/access": {
    layers: [
      "src/log.ts",
      "src/core",
      "src/protocol",
      "src/calls",
      "src/worker/edge",
      "src/env.ts",
    ],
    packages: [/^jose$/, /^zod$/, /^@noble\/hashes\//],
  },
  "src/worker/session": {
    layers: [
      "src/core",
      "src/protocol",
      "src/member",
      "src/worker/edge",
      "src/env.ts",
      "src/memory.ts",
    ],
    packages: [/^zod$/],
  },
  "src/worker/kafka": {
    layers: [
      "src/log.ts",
      "src/core",
      "src/protocol",
      "src/calls",
      "src/member",
      "src/worker/access",
      "src/worker/edge",
      "src/env.ts",
      "src/memory.ts",
    ],
    packages: [],
  },
  "src/worker/http": {
    layers: [
      "src/log.ts",
      "src/core",
      "src/compression",
      "src/protocol",
      "src/worker/edge",
      "src/worker/session",
      "src/worker/kafka",
      "src/worker/access",
      "src/calls",
      "src/env.ts",
      "src/storage-health.ts",
      "src/memory.ts",
    ],
    packages: [/^hono(\/|$)/, /^zod$/, /^rivulet:(console|docs)$/],
  },
  "src/worker/rpc": {
    layers: [
      "src/core",
      "src/protocol",
      "src/admin",
      "src/worker/access",
      "src/worker/edge",
      "src/worker/http",
      "src/env.ts",
    ],
    packages: [/^cloudflare:workers$/, /^zod$/],
  },
  // The objects.
  "durable-objects": {
    layers: [
      "src/budgets.ts",
      "src/log.ts",
      "src/core",
      "src/compression",
      "src/protocol",
      "src/calls",
      "src/env.ts",
      "src/storage-health.ts",
      "src/audit-log.ts",
      "src/memory.ts",
    ],
    packages: [/^cloudflare:(workers|durable-objects)$/, /^zod$/, /^@noble\/hashes\//],
  },
  // The bundle of Worker and objects, and the machine that runs it.
  "src/index.ts": {
    layers: [
      "src/worker/http",
      "src/worker/rpc",
      "src/worker/kafka",
      "src/env.ts",
      "durable-objects",
    ],
    packages: [],
  },
  "src/self-host": {
    layers: ["src/protocol", "src/docs"], // Of the latter, what the index of the search is like.
    packages: [/^esbuild$/, /^node:/, /^highlight\.js\/lib\//, /^marked$/, /^minisearch$/],
  },
};

function layerOf(path: string): string | undefined {
  return Object.keys(LAYERS).find((layer) => path === layer || path.startsWith(`${layer}/`));
}

const IMPORT = /^(?:import|export|\})(?:[^"\n]*? from)? "([^"]+)"|import\("([^"]+)"\)/gm;

function importsOf(text: string): string[] {
  return [...text.matchAll(IMPORT)].map((match) => match[1] ?? match[2] ?? "");
}

function isAllowed(file: string, imported: string): boolean {
  const layer = layerOf(file);
  const rule = layer === undefined ? undefined : LAYERS[layer];
  if (rule === undefined) return false;
  if (!imported.startsWith(".")) return rule.packages.some((pattern) => pattern.test(imported));
  const target = layerOf(normalize(`${dirname(file)}/${imported}`));
  return target !== undefined && (target === layer || rule.layers.includes(target));
}

const files = [...filesBelow("src"), ...filesBelow("durable-objects")].filter((file) =>
  /\.tsx?$/.test(file),
);

test("[SYS-5] imports go in one direction through the layers", () => {
  const breaches = files.flatMap((file) =>
    importsOf(readFileSync(file, "utf8"))
      .filter((imported) => !isAllowed(file, imported))
      .map((imported) => `${file} imports ${imported}`),
  );
  expect(breaches).toEqual([]);
  expect(files.length).toBeGreaterThan(40);
});

test("[SYS-5] a breach would be detected", () => {
  expect(isAllowed("src/core/errors.ts", "hono")).toBe(false);
  expect(isAllowed("src/core/log/append.ts", "../../protocol/parse.ts")).toBe(false);
  expect(isAllowed("src/sdk/consumer.ts", "node:fs")).toBe(false);
});

/** The files that a file imports, types included. */
const imports = new Map(
  files.map((file) => [
    file,
    importsOf(readFileSync(file, "utf8"))
      .filter((imported) => imported.startsWith("."))
      .map((imported) => normalize(`${dirname(file)}/${imported}`)),
  ]),
);

/** Returns a circle of imports as the files on it, or null. */
function circleIn(graph: ReadonlyMap<string, readonly string[]>): string[] | null {
  const done = new Set<string>();
  const path: string[] = [];
  const visit = (file: string): string[] | null => {
    if (done.has(file)) return null;
    const start = path.indexOf(file);
    if (start !== -1) return path.slice(start);
    path.push(file);
    for (const imported of graph.get(file) ?? []) {
      const circle = visit(imported);
      if (circle !== null) return circle;
    }
    path.pop();
    done.add(file);
    return null;
  };
  for (const file of graph.keys()) {
    const circle = visit(file);
    if (circle !== null) return circle;
  }
  return null;
}

test("[SYS-5] no files import each other in a circle, not even for types", () => {
  expect(circleIn(imports)).toBe(null);
  const planted = new Map([...imports, ["src/core/errors.ts", ["src/index.ts"]]]);
  expect(circleIn(planted)).toContain("src/core/errors.ts");
});

test("[SYS-5] the core and the consumer core use no time, chance or I/O of their own", () => {
  const pure = files.filter(
    (file) =>
      file.startsWith("src/core/") ||
      /^src\/member\/(?!consumer-driver|clock|append-socket)/.test(file),
  );
  expect(pure).toContain("src/member/consumer-core.ts");
  const ambient =
    /\b(Date\.now|Math\.random|performance\.|crypto\.|setTimeout|setInterval|fetch\()/;
  expect(pure.filter((file) => ambient.test(readFileSync(file, "utf8")))).toEqual([]);
});

test("[CLK-4] a group asks its own clock for the time, so it notices when the clock is set", () => {
  const others = files.filter((file) => file.startsWith("durable-objects/group/"));
  expect(others.filter((file) => readFileSync(file, "utf8").includes("Date.now"))).toEqual([]);
});

test("[CLK-1] objects have no timers except the one that yields, the one that lingers, and four that nobody waits for", () => {
  const objects = files.filter((file) => file.startsWith("durable-objects/"));
  const timed = objects.filter((file) =>
    /\bset(Timeout|Interval)\(/.test(readFileSync(file, "utf8")),
  );
  expect(timed).toEqual([
    "durable-objects/metrics/webhook.ts",
    "durable-objects/partition/end-reports.ts",
    "durable-objects/partition/linger.ts",
    "durable-objects/partition/slow-readers.ts",
    "durable-objects/partition/throttled-readers.ts",
    "durable-objects/shared/turns.ts",
  ]);
});

test("[SYS-5] the SDK's bundle needs no library but the two that decompress", () => {
  const reached = new Set<string>();
  const visit = (file: string) => {
    if (reached.has(file)) return;
    reached.add(file);
    // Type imports are gone in the bundle.
    const text = readFileSync(file, "utf8").replace(/(?:import|export) type[^;]*;/g, "");
    for (const imported of importsOf(text)) {
      if (imported.startsWith(".")) visit(normalize(`${dirname(file)}/${imported}`));
      else reached.add(imported);
    }
  };
  visit("src/sdk/index.ts");
  const packages = [...reached].filter((name) => !name.startsWith("src/"));
  expect(packages.sort()).toEqual(["fflate", "fzstd"]);
});
