// Files for browsers that lie in the Worker's bundle: how programs and styles are built, what the files are named, and how the
// Worker imports them. The console and the documentation are made of these.
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { basename, extname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";

export const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** A file as it is served. */
export interface BrowserFile {
  /** The name below the path that serves it. A page's name is empty if it is the page at that path. */
  readonly name: string;
  readonly type: string;
  readonly text: string;
  /** The hash of its text, and of the names that are in it. */
  readonly hash: string;
}

/** A program in a browser: its first source, and its style. */
export interface Program {
  readonly main: string;
  readonly style: string;
  /** The prefix of its files' names. */
  readonly prefix: string;
}

export interface BuiltProgram {
  readonly files: readonly BrowserFile[];
  /** The name of the script that a page loads. */
  readonly first: string;
  readonly style: string;
  readonly metafile: esbuild.Metafile;
}

/** Builds a program. Throws with esbuild's report if something does not compile. */
export async function buildProgram({ main, style, prefix }: Program): Promise<BuiltProgram> {
  const { version } = JSON.parse(await readFile(join(ROOT, "package.json"), "utf8"));
  const { outputFiles, metafile } = await esbuild.build({
    absWorkingDir: ROOT,
    entryPoints: [main, style],
    outdir: "dist/console",
    entryNames: `${prefix}[name]-[hash]`,
    chunkNames: `${prefix}[name]-[hash]`,
    bundle: true,
    splitting: true,
    plugins: [laterPlugin(main)],
    write: false,
    minify: true,
    metafile: true,
    charset: "utf8",
    legalComments: "none", // The licenses are a file of their own.
    format: "esm",
    target: "es2022",
    jsx: "automatic",
    jsxImportSource: "preact",
    define: { RIVULET_VERSION: JSON.stringify(version) },
    logLevel: "warning",
  });
  const first = fileWith(metafile, main);
  // The entry that esbuild makes for `main` has nothing of its own: it imports the first script, which the page names itself.
  const entry = Object.entries(metafile.outputs).find(([, { entryPoint }]) => entryPoint === main);
  const files = outputFiles
    .map(({ path, text }) => builtFile(path, text))
    .filter(({ name }) => name === first || name !== basename(entry?.[0] ?? ""));
  return { files, first, style: fileWith(metafile, style), metafile };
}

/**
 * Makes whatever is loaded later import the first script, which it always has. Otherwise esbuild would take what they share
 * out of the first script, to a file for each set of parts that share something.
 */
function laterPlugin(main: string): esbuild.Plugin {
  return {
    name: "later",
    setup({ onResolve, onLoad, resolve }) {
      // package.json says that no source does anything by itself, and what does nothing is not imported.
      onResolve({ filter: /\/main\.tsx$/ }, () => ({
        path: join(ROOT, main),
        sideEffects: true,
      }));
      onResolve({ filter: /^\./ }, async ({ kind, path, resolveDir }) => {
        if (kind !== "dynamic-import") return;
        const resolved = await resolve(path, { kind: "import-statement", resolveDir });
        // The path is relative, for it is in the hash: names are the same wherever the console is built.
        return { path: relative(ROOT, resolved.path), namespace: "later" };
      });
      onLoad({ filter: /.*/, namespace: "later" }, ({ path }) => ({
        contents: `import "./${main}"; export * from "./${path}";`,
        resolveDir: ROOT,
      }));
    },
  };
}

/** Returns the name of the file that contains the built source. */
function fileWith({ outputs }: esbuild.Metafile, source: string): string {
  const found = Object.entries(outputs).find(([, { inputs }]) => Object.hasOwn(inputs, source));
  return basename(found?.[0] ?? "");
}

const TYPES: Readonly<Record<string, string>> = {
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
};

/** Returns a file under the name that esbuild gave it. */
function builtFile(path: string, text: string): BrowserFile {
  const name = basename(path);
  const ending = extname(path);
  return {
    name,
    type: TYPES[ending] ?? "",
    text,
    hash: basename(path, ending).split("-").at(-1) ?? "",
  };
}

export function pageOf(name: string, text: string): BrowserFile {
  return { name, type: "text/html; charset=utf-8", text, hash: hashOf(text) };
}

/** Returns a file whose name has the hash of its text. */
export function hashedFile(base: string, ending: string, type: string, text: string): BrowserFile {
  const hash = hashOf(text);
  return { name: `${base}-${hash}.${ending}`, type, text, hash };
}

export function hashOf(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}

/** A drop in two colors that can be told apart on light and dark. */
export const ICON =
  "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Cpath d='M8 1c3 4 5 6 5 9a5 5 0 0 1-10 0c0-3 2-5 5-9z' fill='%233b82f6'/%3E%3C/svg%3E";

/** Returns the file with the licenses of the bundled packages. */
export async function licensesFile(bundles: readonly esbuild.Metafile[]): Promise<BrowserFile> {
  return hashedFile("licenses", "txt", "text/plain; charset=utf-8", await licensesOf(bundles));
}

/** Returns the licenses of the packages that are bundled. They ask to be handed on with every copy. */
export async function licensesOf(bundles: readonly esbuild.Metafile[]): Promise<string> {
  const inputs = bundles
    .flatMap(({ outputs }) => Object.values(outputs))
    .flatMap((output) => Object.entries(output.inputs))
    .filter(([, { bytesInOutput }]) => bytesInOutput > 0)
    .map(([path]) => /(?:^|\/)node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1])
    .filter((name) => name !== undefined);
  const texts = [...new Set(inputs)].sort().map(async (name) => {
    const text = await licenseOf(join(ROOT, "node_modules", name));
    return `${name}\n\n${text.trim()}\n`;
  });
  return (await Promise.all(texts)).join("\n---\n\n");
}

async function licenseOf(folder: string): Promise<string> {
  const file = (await readdir(folder)).find((name) => /^licen[cs]e(\.\w+)?$/i.test(name));
  if (file === undefined) throw new Error(`there is no license in ${folder}`);
  return readFile(join(folder, file), "utf8");
}

/** A module that the Worker imports and that is made when the Worker is built. */
export interface BuiltModule {
  /** `rivulet:` and a word. */
  readonly name: string;
  /** Returns its source. */
  readonly source: () => Promise<string>;
}

/** Gives the module to esbuild. */
export function esbuildPlugin({ name, source }: BuiltModule): esbuild.Plugin {
  return {
    name,
    setup({ onResolve, onLoad }) {
      onResolve({ filter: new RegExp(`^${name}$`) }, ({ path }) => ({ path, namespace: name }));
      onLoad({ filter: /.*/, namespace: name }, async () => ({ contents: await source() }));
    },
  };
}

/** Gives the module to Vite, and so to the tests. */
export function vitePlugin({ name, source }: BuiltModule) {
  const resolved = `\0${name}`;
  return {
    name,
    enforce: "pre" as const,
    resolveId: (id: string) => (id === name ? resolved : undefined),
    load: (id: string) => (id === resolved ? source() : undefined),
  };
}
