// Builds the console (src/console) and the lesson (src/console/learn) to files that lie in the Worker's bundle: a page each,
// and scripts and styles with hashes of their contents in their names. The Worker imports them as the module rivulet:console.
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";
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
  /** The hash of its text. */
  readonly hash: string;
}

/** Builds all files. Throws with esbuild's report if something does not compile. */
export async function bundleConsole(): Promise<readonly ConsoleFile[]> {
  const [console, lesson] = await Promise.all([bundle(CONSOLE), bundle(LESSON)]);
  const licensed = await licensesOf([console.metafile, lesson.metafile]);
  const licenses = fileOf("licenses", "txt", "text/plain; charset=utf-8", licensed);
  const styles = [console.style, lesson.style];
  return [
    pageOf("", pageWith(console.script, [console.style], licenses)),
    pageOf("learn", pageWith(lesson.script, styles, licenses)),
    ...[console, lesson].flatMap(({ script, style, chunks }) => [script, style, ...chunks]),
    licenses,
  ];
}

const PAGE_TYPE = "text/html; charset=utf-8";
const SCRIPT = "text/javascript; charset=utf-8";

const CONSOLE: esbuild.BuildOptions = { entryPoints: { console: "src/console/main.tsx" } };

/** The SDK loads the code for compressed batches, and others, on demand. */
const LESSON: esbuild.BuildOptions = {
  entryPoints: { learn: "src/console/learn/main.tsx" },
  splitting: true,
  chunkNames: "learn-[name]-[hash]",
};

async function bundle(options: esbuild.BuildOptions) {
  const { version } = JSON.parse(await readFile(join(ROOT, "package.json"), "utf8"));
  const { outputFiles = [], metafile = { inputs: {}, outputs: {} } } = await esbuild.build({
    ...options,
    absWorkingDir: ROOT,
    outdir: "dist/console",
    bundle: true,
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
  const [entry = ""] = Object.keys(options.entryPoints as Record<string, string>);
  const textOf = (name: string) =>
    outputFiles.find(({ path }) => basename(path) === name)?.text ?? "";
  return {
    metafile,
    script: fileOf(entry, "js", SCRIPT, textOf(`${entry}.js`)),
    style: fileOf(entry, "css", "text/css; charset=utf-8", textOf(`${entry}.css`)),
    chunks: outputFiles
      .map(({ path, text }) => ({ name: basename(path), text }))
      .filter(({ name }) => name.startsWith(`${entry}-`))
      .map(({ name, text }) => ({
        name,
        type: SCRIPT,
        text,
        hash: /-(\w+)\.js$/.exec(name)?.[1] ?? "",
      })),
  };
}

function pageOf(name: string, text: string): ConsoleFile {
  return { name, type: PAGE_TYPE, text, hash: hashOf(text) };
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

function pageWith(
  script: ConsoleFile,
  styles: readonly ConsoleFile[],
  licenses: ConsoleFile,
): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>Rivulet</title>
<link rel="icon" href="${ICON}">
<link rel="license" href="/console/assets/${licenses.name}">
${styles.map(({ name }) => `<link rel="stylesheet" href="/console/assets/${name}">`).join("\n")}
<script type="module" src="/console/assets/${script.name}"></script>
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
    .map(([path]) => /^node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1])
    .filter((name) => name !== undefined);
  const texts = [...new Set(inputs)].sort().map(async (name) => {
    const text = await readFile(join(ROOT, "node_modules", name, "LICENSE"), "utf8");
    return `${name}\n\n${text.trim()}\n`;
  });
  return (await Promise.all(texts)).join("\n---\n\n");
}

/** Returns the source of the module rivulet:console. */
export async function consoleModule(): Promise<string> {
  return `export const FILES = ${JSON.stringify(await bundleConsole())};`;
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
