// Writes the package's declaration files into dist/types: those that its exports reach. The compiler also makes one for
// every module behind them, which stays private [PKG-5]. The types of the Worker are written beside its bundle.
import { readdir, readFile, rm } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { replaceFile } from "./build.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
/** The compiler writes here: see the tsconfig.json of src/sdk and src/kafkajs. */
const COMPILED = join(ROOT, "dist/.types");
const PUBLISHED = join(ROOT, "dist/types");

const WORKER = join(ROOT, "src/worker/rpc/worker.d.ts");

const IMPORTED = /(?<=\b(?:from|import) ?\(?")\.[^"]*(?=")/g;

/** Writes the files that the exports reach, and removes all others. Returns the paths, relative to dist/types. */
export async function writeDeclarations(): Promise<readonly string[]> {
  const { exports } = JSON.parse(await readFile(join(ROOT, "package.json"), "utf8"));
  const reached = new Map<string, string>();
  const visit = async (path: string): Promise<void> => {
    if (reached.has(path)) return;
    reached.set(path, "");
    const text = await readFile(join(COMPILED, path), "utf8");
    // The compiler keeps the names of the sources, which are not in the package.
    reached.set(
      path,
      text.replace(IMPORTED, (name) => name.replace(/\.ts$/, ".js")),
    );
    for (const [name] of text.matchAll(IMPORTED))
      await visit(join(dirname(path), name.replace(/\.ts$/, ".d.ts")));
  };
  for (const { types } of Object.values(exports) as { types: string }[])
    await visit(relative(PUBLISHED, join(ROOT, types)));
  for (const [path, text] of reached) await replaceFile(join(PUBLISHED, path), Buffer.from(text));
  await removeOthers(reached);
  await replaceFile(join(ROOT, "dist/worker.d.ts"), Buffer.from(await workerTypes(reached)));
  return [...reached.keys()].sort();
}

/** Returns the types of the Worker, which import published ones. @throws if one is not published */
async function workerTypes(published: ReadonlyMap<string, string>): Promise<string> {
  const text = await readFile(WORKER, "utf8");
  return text.replace(IMPORTED, (name) => {
    const path = relative(join(ROOT, "src"), join(dirname(WORKER), name)).replaceAll("\\", "/");
    if (!published.has(path.replace(/\.ts$/, ".d.ts"))) throw new Error(`${name} is not published`);
    return `./types/${path.replace(/\.ts$/, ".js")}`;
  });
}

async function removeOthers(kept: ReadonlyMap<string, string>): Promise<void> {
  const files = await readdir(PUBLISHED, { recursive: true, withFileTypes: true });
  const others = files
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => !kept.has(relative(PUBLISHED, path)));
  await Promise.all(others.map((path) => rm(path, { force: true })));
}

if (import.meta.main) await writeDeclarations();
