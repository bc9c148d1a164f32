// `npm run dev`: `wrangler dev`, with Kafka's protocol on KAFKA_PORT (9092; a free port if that is
// taken). Wrangler takes the port only from its configuration, and any other program that reads
// wrangler.toml would listen on it too. So wrangler gets a copy.
import { spawn } from "node:child_process";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { advertisedOf, kafkaPortsOf } from "./ports.ts";
import {
  assertNoJurisdiction,
  flagOf,
  MAX_PARTITIONS,
  numberOf,
  runOrExplain,
  stopWithNpm,
} from "./settings.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const CONFIG = resolve(ROOT, "wrangler.toml");
const HOST = "127.0.0.1";

async function main(): Promise<void> {
  assertNoJurisdiction();
  const ports = await kafkaPortsOf(HOST, null);
  const addresses = ports.map((port) => `${HOST}:${port}`);
  const copy = copyWith(ports, {
    KAFKA_ADVERTISE: advertisedOf(addresses),
    AUTO_CREATE_TOPICS_ENABLE: String(flagOf("AUTO_CREATE_TOPICS_ENABLE", true)),
    NUM_PARTITIONS: String(numberOf("NUM_PARTITIONS", 1, MAX_PARTITIONS)),
  });
  const args = argumentsWith(copy, process.argv.slice(2));
  console.log(`Kafka on ${addresses}`);
  const wrangler = spawn(
    process.execPath,
    [wranglerPath(), "dev", ...args],
    // Offline, it would otherwise wait for its requests to Cloudflare.
    { stdio: "inherit", env: { ...process.env, CLOUDFLARE_CF_FETCH_ENABLED: "false" } },
  );
  // Ctrl-C reaches wrangler as well, and it takes its time to stop.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    process.on(signal, () => wrangler.kill(signal));
  stopWithNpm(() => wrangler.kill("SIGTERM"));
  wrangler.on("exit", (code) => {
    rmSync(copy, { force: true });
    process.exit(code ?? 1);
  });
}

/** Writes the copy into the same folder, because paths in it are relative to the folder. */
function copyWith(ports: readonly number[], variables: Readonly<Record<string, string>>): string {
  const copy = resolve(ROOT, `wrangler.dev-${ports[0]}.toml`);
  const text = readFileSync(CONFIG, "utf8");
  const listeners = ports.map(
    (port) => `[[connect]]\nprotocol = "tcp"\naddress = "${HOST}"\nport = ${port}\n`,
  );
  const lines = Object.entries(variables).map(
    ([name, value]) => `${name} = ${JSON.stringify(value)}\n`,
  );
  writeFileSync(copy, [text, `[vars]\n${lines.join("")}`, ...listeners].join("\n"));
  return copy;
}

/** Replaces our configuration by the copy. If wrangler is given several configurations, ours must be among them. */
function argumentsWith(copy: string, given: readonly string[]): string[] {
  const isOurs = (argument: string) => resolve(argument) === CONFIG;
  if (!given.some((argument) => /^(-c|--config)/.test(argument)))
    return [...given, "--config", copy];
  return given.map((argument) => (isOurs(argument) ? copy : argument));
}

function wranglerPath(): string {
  const require = createRequire(import.meta.url);
  return resolve(require.resolve("wrangler/package.json"), "../bin/wrangler.js");
}

await runOrExplain(main);
