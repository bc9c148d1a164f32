// The file whose modification time is the time of the last build. Built files whose contents stay the same keep their own.
import { fileURLToPath } from "node:url";

export const STAMP = fileURLToPath(new URL("../../dist/.built", import.meta.url));
