// rivulet start, rivulet learn: a broker on this machine, without a clone. Its code is that of `npm start`, and is loaded
// only here.
import { fileURLToPath } from "node:url";
import { Option } from "commander";
import { agrees, mayAsk } from "../ask.ts";
import type { Command } from "../command.ts";

/** The version of workerd that this release was tested with. The build puts it here. */
declare const RIVULET_WORKERD_VERSION: string;

/** The first Node whose node:sqlite opens a database by its URL, and needs no flag. */
const MIN_NODE = [22, 16] as const;

interface Options {
  readonly port?: string;
  readonly kafkaPort?: string;
  readonly host?: string;
  readonly dataDir?: string;
  readonly yes?: boolean;
}

const MORE = [
  "These variables set more: KAFKA_NODES, KAFKA_ADVERTISE, KAFKA_TLS_CERT, KAFKA_TLS_KEY, AUTO_CREATE_TOPICS_ENABLE, NUM_PARTITIONS, RIVULET_ROOT_KEY, RIVULET_LOG.",
  "On a loopback address a broker is open to this machine. On any other address it makes a root key, prints it once and asks every client for a credential.",
  "The broker runs on workerd, Cloudflare's runtime. The command takes the workerd that the project or this folder has installed. If there is none, it asks and installs one into ~/.cache/rivulet ($XDG_CACHE_HOME moves that folder).",
].join("\n");

export function addStart(program: Command): void {
  const command = program
    .command("start")
    .summary("run a broker on this machine")
    .description(
      "Runs a broker on this machine, with its data in a folder, until Ctrl-C. Needs no account and no clone.",
    )
    .seeAlso("learn", "doctor");
  withSettings(command)
    .details(MORE)
    .examples(
      "rivulet start",
      "rivulet start --port 8788 --kafka-port 9093 --data-dir /tmp/rivulet",
    )
    .action(async (options: Options) => {
      await run("start", options, async (start) => void (await start()));
    });
}

export function addLearn(program: Command): void {
  const command = program
    .command("learn")
    .summary("learn about consumer groups in ten minutes")
    .description(
      "Prints the address of a lesson about consumer groups, in the console of a broker on this machine. Starts a broker as `rivulet start` does, unless one answers at the port already.",
    )
    .seeAlso("start");
  withSettings(command)
    .examples("rivulet learn", "rivulet learn --port 8788 --kafka-port 9093")
    .action(async (options: Options) => {
      const { showLesson } = await import("../../self-host/lesson.ts");
      await run("learn", options, showLesson);
    });
}

function withSettings(command: Command): Command {
  const add = (flags: string, description: string, variable: string) =>
    command.addOption(new Option(flags, description).env(variable));
  add(
    "-p, --port <number>",
    "port of HTTP and WebSockets, 0 for a free one (default: 8787)",
    "PORT",
  );
  add(
    "--kafka-port <number>",
    "port for Kafka clients, 0 for a free one (default: 9092, or a free one if that is taken)",
    "KAFKA_PORT",
  );
  add("--host <address>", "listen on this address (default: 127.0.0.1)", "HOST");
  add("--data-dir <path>", "the folder of all data (default: .rivulet)", "DATA_DIR");
  return command.option("-y, --yes", "install workerd without asking if there is none");
}

/** Gives `show` a function that starts the broker with these options. */
async function run(
  name: string,
  { port, kafkaPort, host, dataDir, yes }: Options,
  show: (start: () => Promise<string>) => Promise<void>,
): Promise<void> {
  await assertNode(name);
  const settings = { PORT: port, KAFKA_PORT: kafkaPort, HOST: host, DATA_DIR: dataDir };
  for (const [name, value] of Object.entries(settings))
    if (value !== undefined) process.env[name] = value;
  const { startBroker } = await withoutWarnings(() => import("../../self-host/broker.ts"));
  const { runOrExplain } = await import("../../self-host/settings.ts");
  await runOrExplain(() =>
    show(async () =>
      startBroker({
        workerdPath: await workerdPath(yes ?? false),
        bundle: async () => fileURLToPath(new URL("worker.js", import.meta.url)), // Beside this bundle.
      }),
    ),
  );
}

/** Throws if this Node is too old. The error names a command that runs here, with all that it needs. */
async function assertNode(name: string): Promise<void> {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  if (major > MIN_NODE[0] || (major === MIN_NODE[0] && minor >= MIN_NODE[1])) return;
  const { cacheOf, findWorkerd } = await import("../../self-host/workerd-package.ts");
  const version = RIVULET_WORKERD_VERSION;
  const needed = `a broker needs Node ${MIN_NODE.join(".")} or newer, this is ${process.versions.node}`;
  const command = `npx --package node@24 rivulet ${name}`;
  throw new Error(
    findWorkerd(version, import.meta.url) === null
      ? `${needed}, and workerd ${version}, which is not installed; \`${command} --yes\` brings both, about 150 MB into ${cacheOf(version)}`
      : `${needed}; \`${command}\` brings one`,
  );
}

/** Node 22 warns of node:sqlite that it may change. This release was tested with it, so the user need not know. */
async function withoutWarnings<T>(load: () => Promise<T>): Promise<T> {
  const { emitWarning } = process;
  process.emitWarning = () => {};
  try {
    return await load();
  } finally {
    process.emitWarning = emitWarning;
  }
}

/** Returns the path of a workerd, which it installs if the user agrees. @throws StartError */
async function workerdPath(isAgreed: boolean): Promise<string> {
  const { cacheOf, findWorkerd, installWorkerd } = await import(
    "../../self-host/workerd-package.ts"
  );
  const { StartError } = await import("../../self-host/settings.ts");
  const version = RIVULET_WORKERD_VERSION;
  const found = findWorkerd(version, import.meta.url);
  if (found !== null) return found.path;
  const cache = cacheOf(version);
  const question = `A broker needs workerd ${version}, about 150 MB. Install it into ${cache}? [y/N] `;
  if (isAgreed || (mayAsk() && (await agrees(question))))
    return (await installWorkerd(version)).path;
  throw new StartError(
    `workerd ${version} or newer is not installed; run \`npm install workerd@${version}\`, or let \`rivulet start --yes\` install it into ${cache}`,
  );
}
