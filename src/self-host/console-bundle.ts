// Builds the console (src/console) and the lesson (src/console/learn) to files that lie in the Worker's bundle: a page each, and
// scripts and styles with hashes of their contents in their names. A page loads one script; the others are loaded when what
// they show is first wanted. The Worker imports the files as the module rivulet:console.
import type * as esbuild from "esbuild";
import {
  type BrowserFile,
  type BuiltModule,
  buildProgram,
  ICON,
  licensesFile,
  type Program,
  pageOf,
} from "./browser-files.ts";

/** The files: names are below /console/assets/, and those of pages below /console. */
export interface ConsoleBundle {
  readonly files: readonly BrowserFile[];
  /** The script that the console's page loads. */
  readonly first: string;
  /** The console's sources: the file that has each of them, and its imports. */
  readonly metafile: esbuild.Metafile;
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
  const [console, lesson] = await Promise.all([buildProgram(CONSOLE), buildProgram(LESSON)]);
  const licenses = await licensesFile([console.metafile, lesson.metafile]);
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

/** The module that the Worker imports. */
export const CONSOLE_MODULE: BuiltModule = {
  name: "rivulet:console",
  source: async () => {
    const { files } = await bundleConsole();
    return `export const FILES = ${JSON.stringify(files)};`;
  },
};
