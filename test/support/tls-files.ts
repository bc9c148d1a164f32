// A certificate for localhost and 127.0.0.1, with its key. Both are published with the tests, so they protect nothing.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const pathOf = (name: string) => fileURLToPath(new URL(`./tls/${name}`, import.meta.url));

export const CERT_PATH = pathOf("cert.pem");
export const KEY_PATH = pathOf("key.pem");
export const CERT = readFileSync(CERT_PATH, "utf8");
