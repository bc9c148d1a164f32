import { fileURLToPath } from "node:url";

/** The Worker's bundle of this tree. */
export const BUNDLE = fileURLToPath(new URL("../../dist/worker.js", import.meta.url));
