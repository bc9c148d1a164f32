// Builds the console (src/console) and the lesson (src/console/learn) to files that lie in the Worker's bundle: a page each, and
// scripts and styles with hashes of their contents in their names. A page loads one script; the others are loaded when what
// they show is first wanted. The Worker imports the files as the module rivulet:console.
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { basename, extname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** The module that the Worker imports. */
export const CONSOLE_MODULE = "rivulet:console";

/** A file as it is served. */
export interface ConsoleFile {
  /** Its name below /console/assets/, or that of a page below /console, which is empty for the console itself. */
  readonly name: string;
  readonly type: string;
  readonly text: string;
  /** The hash of its text, and of the names that are in it. */
  readonly hash: string;
}

export interface ConsoleBundle {
  readonly files: readonly ConsoleFile[];
  /** The script that the console's page loads. */
  readonly first: string;
  /** Of the console, which source is in which file, and what each of them imports. */
  readonly metafile: esbuild.Metafile;
}

/** A program in a browser: what it begins with, and its style. */
interface Program {
  readonly main: string;
  readonly style: string;
  /** What the names of its chunks begin with. */
  readonly prefix: string;
}

const CONSOLE: Program = {
  ...{ main: "src/console/main.tsx", style: "src/console/console.css", prefix: "" },
};
const LESSON: Program = {
  main: "src/console/learn/main.tsx",
  ...{ style: "src/console/learn/learn.css", prefix: "learn-" },
};

/** Builds the console and the lesson. Throws with esbuild's report if something does not compile. */
export async function bundleConsole(): Promise<ConsoleBundle> {
  const [console, lesson] = await Promise.all([build(CONSOLE), build(LESSON)]);
  const licenses = fileOf(
    "licenses",
    "txt",
    "text/plain; charset=utf-8",
    await licensesOf([console.metafile, lesson.metafile]),
  );
  return {
    files: [
      pageOf("", pageWith(console.first, [console.style], licenses.name)),
      pageOf("learn", pageWith(lesson.first, [console.style, lesson.style], licenses.name)),
      ...console.files,
      ...lesson.files,
      licenses,
    ],
    ...{ first: console.first, metafile: console.metafile },
  };
}

async function build({ main, style, prefix }: Program) {
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

/** Returns the name of the file that has what this source became. */
function fileWith({ outputs }: esbuild.Metafile, source: string): string {
  const found = Object.entries(outputs).find(([, { inputs }]) => Object.hasOwn(inputs, source));
  return basename(found?.[0] ?? "");
}

const TYPES: Readonly<Record<string, string>> = {
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
};

/** Returns a file as esbuild has named it. */
function builtFile(path: string, text: string): ConsoleFile {
  const name = basename(path);
  const ending = extname(path);
  return {
    name,
    type: TYPES[ending] ?? "",
    text,
    hash: basename(path, ending).split("-").at(-1) ?? "",
  };
}

function pageOf(name: string, text: string): ConsoleFile {
  return { name, type: "text/html; charset=utf-8", text, hash: hashOf(text) };
}

function fileOf(base: string, ending: string, type: string, text: string): ConsoleFile {
  const hash = hashOf(text);
  return { name: `${base}-${hash}.${ending}`, type, text, hash };
}

function hashOf(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}

/** A drop in two colors that can be told apart on light and dark. */
const ICON =
  "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Cpath d='M8 1c3 4 5 6 5 9a5 5 0 0 1-10 0c0-3 2-5 5-9z' fill='%233b82f6'/%3E%3C/svg%3E";

function pageWith(script: string, styles: readonly string[], licenses: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>Rivulet</title>
<link rel="icon" href="${ICON}">
<link rel="license" href="/console/assets/${licenses}">
${styles.map((style) => `<link rel="stylesheet" href="/console/assets/${style}">`).join("\n")}
<script type="module" src="/console/assets/${script}"></script>
</head>
<body>
<div id="console"><noscript>The console needs JavaScript. The command line does all that it does.</noscript></div>
</body>
</html>
`;
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
    const text = await readFile(join(ROOT, "node_modules", name, "LICENSE"), "utf8");
    return `${name}\n\n${text.trim()}\n`;
  });
  return (await Promise.all(texts)).join("\n---\n\n");
}

/** Returns the source of the module rivulet:console. */
export async function consoleModule(): Promise<string> {
  const { files } = await bundleConsole();
  return `export const FILES = ${JSON.stringify(files)};`;
}

/** Gives the module to esbuild. */
export function consolePlugin(): esbuild.Plugin {
  return {
    name: "console",
    setup({ onResolve, onLoad }) {
      onResolve({ filter: /^rivulet:console$/ }, ({ path }) => ({ path, namespace: "console" }));
      onLoad({ filter: /.*/, namespace: "console" }, async () => ({
        contents: await consoleModule(),
      }));
    },
  };
}

/** Gives the module to Vite, and so to the tests. */
export function consoleVitePlugin() {
  const resolved = `\0${CONSOLE_MODULE}`;
  return {
    name: "console",
    enforce: "pre" as const,
    resolveId: (id: string) => (id === CONSOLE_MODULE ? resolved : undefined),
    load: (id: string) => (id === resolved ? consoleModule() : undefined),
  };
}
