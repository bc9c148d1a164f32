// `npm run dev`: `wrangler dev`, with Kafka's protocol on KAFKA_PORT (9092; a free port if that is taken). Wrangler takes
// the port only from its configuration, and every other program that reads wrangler.toml would listen on it too. So
// wrangler gets a copy.
import { spawn } from "node:child_process";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseEnv } from "node:util";
import { devConfig } from "./dev-config.ts";
import { assertNoKafkaTls } from "./kafka-tls.ts";
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
const DEV_VARS = resolve(ROOT, ".dev.vars");
const JURISDICTION = "RIVULET_JURISDICTION";
const ROOT_KEY = "RIVULET_ROOT_KEY";
const HOST = "127.0.0.1";

async function main(): Promise<void> {
  assertNoJurisdiction();
  assertNoJurisdiction(jurisdictionIn(process.argv));
  if (existsSync(DEV_VARS))
    assertNoJurisdiction(parseEnv(readFileSync(DEV_VARS, "utf8"))[JURISDICTION]);
  assertNoKafkaTls();
  const ports = await kafkaPortsOf(HOST, null);
  const addresses = ports.map((port) => `${HOST}:${port}`);
  const settings = {
    AUTO_CREATE_TOPICS_ENABLE: String(flagOf("AUTO_CREATE_TOPICS_ENABLE", true)),
    NUM_PARTITIONS: String(numberOf("NUM_PARTITIONS", 1, MAX_PARTITIONS)),
  };
  const isAsked = ([name]: readonly [string, string]) => Boolean(process.env[name]);
  const text = devConfig(readFileSync(CONFIG, "utf8"), {
    host: HOST,
    ports,
    variables: {
      KAFKA_ADVERTISE: advertisedOf(addresses),
      [JURISDICTION]: "", // The one in wrangler.toml is for deployments.
      ...(hasRootKey() ? {} : { RIVULET_OPEN: "loopback" }),
      ...Object.fromEntries(Object.entries(settings).filter(isAsked)),
    },
    defaults: settings,
  });
  // The copy is in the same folder, because its paths are relative to the folder.
  const copy = resolve(ROOT, `wrangler.dev-${ports[0]}.toml`);
  writeFileSync(copy, text);
  const args = argumentsWith(copy, process.argv.slice(2));
  console.log(`Kafka on ${addresses}`);
  const wrangler = spawn(
    process.execPath,
    [wranglerPath(), "dev", ...args],
    // Otherwise it would wait for its requests to Cloudflare when offline.
    { stdio: "inherit", env: { ...process.env, CLOUDFLARE_CF_FETCH_ENABLED: "false" } },
  );
  // Ctrl-C reaches wrangler too, which takes some time to stop.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    process.on(signal, () => wrangler.kill(signal));
  stopWithNpm(() => wrangler.kill("SIGTERM"));
  wrangler.on("exit", (code) => {
    rmSync(copy, { force: true });
    process.exit(code ?? 1);
  });
}

/** [MODE-1] True if the broker asks for keys although only this machine reaches it. */
function hasRootKey(): boolean {
  const vars = existsSync(DEV_VARS) ? parseEnv(readFileSync(DEV_VARS, "utf8")) : {};
  return [ROOT_KEY, `${ROOT_KEY}_NEXT`].some((name) => Boolean(process.env[name] ?? vars[name]));
}

/** Returns the jurisdiction that wrangler's `--var` names: `--var RIVULET_JURISDICTION:eu`. */
function jurisdictionIn(args: readonly string[]): string | undefined {
  return args.map((each) => /^(?:--var=)?RIVULET_JURISDICTION:(.*)$/.exec(each)?.[1]).find(Boolean);
}

/** Replaces wrangler.toml by the copy. If several configurations are given, wrangler.toml must be among them. */
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
