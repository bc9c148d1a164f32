// The file whose modification time is that of the last build. A file whose contents stay the same keeps its own time.
import { fileURLToPath } from "node:url";

export const STAMP = fileURLToPath(new URL("../../dist/.built", import.meta.url));
