#!/usr/bin/env node
// The `rivulet` command: parses, runs one command, reports errors. Exit codes: 0 done, 1 failed, 2 wrong use.
import { explain, type GlobalOptions, UsageError } from "./context.ts";
import { createProgram } from "./program.ts";

const MIN_NODE = 20;

for (const output of [process.stdout, process.stderr]) {
  output.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") return; // The reader of the pipe has closed it.
    process.stderr.write(`the output could not be written: ${error.message}\n`);
    process.exit(1);
  });
}

// In a clone, `npx` and npm's scripts bring a Node of their own. Elsewhere this file runs on the Node that is installed.
if (Number.parseInt(process.versions.node, 10) < MIN_NODE) {
  process.stderr.write(
    `rivulet needs Node ${MIN_NODE} or newer, this is ${process.versions.node}; in a clone \`npx rivulet\` brings its own\n`,
  );
  process.exit(1);
}
if (!("WebSocket" in globalThis)) await import("./web-socket.ts"); // Node 20

const program = createProgram();
try {
  await program.parseAsync();
} catch (error) {
  process.stderr.write(`${explain(error, program.opts<GlobalOptions>())}\n`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
