// rivulet export | import: topics and positions of groups to files, and back.
import { mkdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { type Command, Option } from "commander";
import { Broker } from "../broker.ts";
import {
  connect,
  examples,
  type GlobalOptions,
  print,
  UsageError,
  wantsNotes,
} from "../context.ts";
import type { GroupPositions } from "../export/content.ts";
import { type Exported, exportTopic, look, type Reporting } from "../export/export-topic.ts";
import type { FormatName } from "../export/format.ts";
import { FORMATS } from "../export/formats.ts";
import { type Imported, importTopic } from "../export/import-topic.ts";
import { readWhole } from "../export/whole-file.ts";
import { Progress } from "../progress.ts";
import { count } from "./topics.ts";

interface ExportOptions {
  readonly to: string;
  readonly format: FormatName;
  readonly groups?: true | string[];
}

export function addExport(program: Command): void {
  program
    .command("export <topics...>")
    .description(
      "write topics to files: their records, their config, and where groups stand; run again, it goes on where it broke off",
    )
    .requiredOption(
      "--to <path>",
      "the file, or a folder, which gets a file for each topic (it ends with / or is there)",
    )
    .addOption(
      new Option(
        "--format <format>",
        "ndjson: a record a line, for other programs too; batches: byte for byte as stored",
      )
        .choices(Object.keys(FORMATS))
        .default("ndjson"),
    )
    .option("--groups [group...]", "with the positions of these groups, or of all")
    .addHelpText(
      "after",
      examples(
        "rivulet export orders --to orders.ndjson",
        "rivulet export orders payments --groups billing --to backup/",
        "rivulet export orders --groups --format batches --to orders.batches",
      ),
    )
    .action(async (topics: string[], options: ExportOptions, command: Command) => {
      await exportTopics([...new Set(topics)], options, command.optsWithGlobals<GlobalOptions>());
    });
}

export function addImport(program: Command): void {
  program
    .command("import <path>")
    .description(
      "restore a topic from a file of export, into a new or an empty topic; run again, it goes on where it broke off",
    )
    .option("--topic <topic>", "under this name, not the one in the file")
    .addHelpText(
      "after",
      examples("rivulet import orders.ndjson", "rivulet import orders.batches --topic orders-copy"),
    )
    .action(async (path: string, options: { topic?: string }, command: Command) => {
      const global = command.optsWithGlobals<GlobalOptions>();
      await importFile(path, options.topic ?? null, global);
    });
}

/** Shows progress on a terminal. Notes go to standard error in any case, unless the user wants to hear nothing. */
class Report implements Reporting {
  #part = 0;
  readonly #isQuiet: boolean;
  readonly progress: Progress;

  constructor(global: GlobalOptions) {
    this.#isQuiet = global.quiet ?? false;
    this.progress = new Progress(wantsNotes(global), () => this.#part);
  }

  offsets(done: number, all: number): void {
    this.#part = all === 0 ? 1 : done / all;
  }

  add(records: number, bytes: number): void {
    this.progress.add(records, bytes);
  }

  note(text: string): void {
    if (!this.#isQuiet) this.progress.note(text);
  }
}

async function exportTopics(
  topics: readonly string[],
  options: ExportOptions,
  global: GlobalOptions,
): Promise<void> {
  const format = FORMATS[options.format];
  const pathOf = await paths(topics, options.to, format.extension);
  const { admin } = connect(global);
  for (const topic of topics) await admin.describeTopic(topic); // A typo is an error before anything is written.
  const targets = [];
  for (const topic of topics) targets.push(await look(topic, pathOf(topic), format));
  const [done] = targets;
  if (done !== undefined && targets.every(({ state }) => state.isComplete)) {
    const when = done.state.header?.exportedAt;
    throw new Error(
      `nothing was exported: ${targets.map(({ path }) => path).join(", ")} is complete since the export of ${when}; remove it, or name another`,
    );
  }
  const report = new Report(global);
  const broker = new Broker(global, (text) => report.note(text));
  const exported: Record<string, unknown>[] = [];
  const texts: string[] = [];
  try {
    const isNew = targets.some(({ state }) => state.header === null);
    const groups = isNew ? await positionsOf(broker, options.groups) : [];
    for (const target of targets) {
      const { topic, path, state, damage } = target;
      if (damage !== null) report.note(`# ${path}: ${damage}; from there on it is exported anew`);
      const isDone = state.isComplete;
      const result: Exported = isDone
        ? { records: state.total, before: state.total, groups: 0, bytes: target.position }
        : await exportTopic(broker, target, groupsOf(groups, topic), report);
      exported.push({ topic, path, ...result });
      texts.push(exportedText(topic, path, result, isDone));
    }
  } finally {
    report.progress.end();
  }
  print(global, exported, () => texts.join("\n"));
}

function exportedText(topic: string, path: string, result: Exported, isDone: boolean): string {
  const { records, before, groups } = result;
  if (isDone) return `${path} was complete already, with ${count(records, "record")} of ${topic}.`;
  const resumed = before > 0 ? `, ${before} of which were there` : "";
  const positions = groups > 0 ? ` and the positions of ${count(groups, "group")}` : "";
  return `Exported ${count(records, "record")} of ${topic}${resumed}${positions} to ${path}.`;
}

/** Returns the path for each topic, and makes the folder if there is to be one. */
async function paths(
  topics: readonly string[],
  to: string,
  extension: string,
): Promise<(topic: string) => string> {
  const about = await stat(to).catch(() => null);
  const isFolder = about?.isDirectory() || to.endsWith("/");
  if (!isFolder && topics.length > 1) {
    if (about !== null) throw new UsageError(`--to ${to} is a file; several topics go to a folder`);
  } else if (!isFolder) return () => to;
  await mkdir(to, { recursive: true });
  return (topic) => join(to, `${topic}${extension}`);
}

type Positions = readonly {
  readonly group: string;
  readonly offsets: NonNullable<Awaited<ReturnType<Broker["positions"]>>>;
}[];

/** Asks the groups, and nobody else. */
async function positionsOf(broker: Broker, named: true | string[] | undefined): Promise<Positions> {
  if (named === undefined) return [];
  const all =
    named === true
      ? (await broker.again(() => broker.admin.listGroups())).map(({ groupId }) => groupId)
      : named;
  const positions = [];
  for (const group of all) {
    const offsets = await broker.positions(group);
    if (offsets === null && named !== true) await broker.admin.describeGroup(group); // It says so.
    if (offsets !== null) positions.push({ group, offsets });
  }
  return positions;
}

function groupsOf(positions: Positions, topic: string): GroupPositions[] {
  return positions
    .map(({ group, offsets }) => ({
      group,
      offsets: offsets
        .filter((each) => each.topic === topic)
        .map(({ topic: _, ...position }) => position),
    }))
    .filter(({ offsets }) => offsets.length > 0);
}

async function importFile(path: string, topic: string | null, global: GlobalOptions) {
  const report = new Report(global);
  const broker = new Broker(global, (text) => report.note(text));
  let imported: Imported;
  try {
    const { size } = await stat(path).catch(() => ({ size: 0 }));
    const verified = await readWhole(path, (bytes) => report.offsets(bytes, 2 * size));
    const reporting = {
      add: (records: number, bytes: number) => report.add(records, bytes),
      note: (text: string) => report.note(text),
      offsets: (done: number, all: number) => report.offsets(all + done, 2 * all),
    };
    const name = topic ?? verified.header.topic;
    imported = await importTopic(broker, path, name, verified, reporting);
  } finally {
    report.progress.end();
  }
  print(global, imported, importedText);
  const failed = imported.groups.filter(({ error }) => error !== undefined);
  if (failed.length > 0)
    throw new Error(
      `the positions of ${failed.map(({ group }) => group).join(", ")} were not set (${failed[0]?.error}); when that is mended, run the same command again`,
    );
}

function importedText({ topic, records, stored, partitions, groups }: Imported): string {
  const there = stored < records ? `, ${records - stored} of which were there` : "";
  const lines = [
    `Imported ${count(records, "record")} to ${count(partitions, "partition")} of ${topic}${there}.`,
  ];
  for (const { group, set, kept, error } of groups) {
    if (error !== undefined) continue;
    const rest = kept > 0 ? ` (in ${kept} it had one, which stays)` : "";
    lines.push(`Group ${group} has its position in ${count(set, "partition")}${rest}.`);
  }
  return lines.join("\n");
}
