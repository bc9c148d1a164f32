// rivulet export | import: topics and the committed offsets of groups to files, and back.
import { mkdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { Option } from "commander";
import { listed, whole } from "../answer.ts";
import { Broker } from "../broker.ts";
import type { Command } from "../command.ts";
import { connect, type GlobalOptions, print, UsageError, wantsNotes } from "../context.ts";
import type { GroupPositions } from "../export/content.ts";
import { type Exported, exportTopic, look, type Reporting } from "../export/export-topic.ts";
import type { FormatName } from "../export/format.ts";
import { FORMATS } from "../export/formats.ts";
import { type Imported, importTopic } from "../export/import-topic.ts";
import { readWhole } from "../export/whole-file.ts";
import { count } from "../figures.ts";
import { Progress } from "../progress.ts";

interface ExportOptions {
  readonly to: string;
  readonly format: FormatName;
  readonly groups?: true | string[];
}

export function addExport(program: Command): void {
  program
    .command("export <topics...>")
    .summary("write topics to files")
    .description(
      "Writes topics to files: their records, their configuration, and the committed offsets of groups. " +
        "If an export broke off, the same command continues it. A complete file is not overwritten.",
    )
    .requiredOption(
      "--to <path>",
      "the file, or a folder that gets a file for each topic: it exists, or its name ends with /",
    )
    .addOption(
      new Option(
        "--format <format>",
        "ndjson has a record on each line, for other programs too; batches has the bytes as stored",
      )
        .choices(Object.keys(FORMATS))
        .default("ndjson"),
    )
    .option(
      "--groups [group...]",
      "add the committed offsets of these groups, or of all (default: of none)",
    )
    .seeAlso("import", "consume", "recover")
    .examples(
      "rivulet export orders --to orders.ndjson",
      "rivulet export orders payments --groups billing --to backup/",
      "rivulet export orders --groups --format batches --to orders.batches",
    )
    .action(async (topics: string[], options: ExportOptions, command: Command) => {
      await exportTopics([...new Set(topics)], options, command.optsWithGlobals<GlobalOptions>());
    });
}

export function addImport(program: Command): void {
  program
    .command("import <path>")
    .summary("restore a topic from a file")
    .description(
      "Restores a topic from a file that export wrote, into a new or an empty topic, with the committed offsets of groups. " +
        "The file is verified first. If an import broke off, the same command continues it.",
    )
    .option("--topic <topic>", "the name of the topic (default: the one in the file)")
    .seeAlso("export", "produce")
    .examples("rivulet import orders.ndjson", "rivulet import orders.batches --topic orders-copy")
    .action(async (path: string, options: { topic?: string }, command: Command) => {
      const global = command.optsWithGlobals<GlobalOptions>();
      await importFile(path, options.topic ?? null, global);
    });
}

/** Shows progress on a terminal. Notes go to standard error even without one, unless --quiet is given. */
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
  for (const topic of topics) {
    // A typo is an error before anything is written.
    whole(await admin.describeTopic(topic), "name", "topicId", "partitions", "overrides");
  }
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
  const resumed = before > 0 ? `, ${before} of which were in the file` : "";
  const positions = groups > 0 ? ` and the committed offsets of ${count(groups, "group")}` : "";
  return `Exported ${count(records, "record")} of ${topic}${resumed}${positions} to ${path}.`;
}

/** Returns the path for each topic, and makes the folder if one is meant. */
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

/** Asks the groups, and wakes nothing else. */
async function positionsOf(broker: Broker, named: true | string[] | undefined): Promise<Positions> {
  if (named === undefined) return [];
  const all =
    named === true
      ? listed(await broker.again(() => broker.admin.listGroups()), "groups").map(
          ({ groupId }) => groupId,
        )
      : named;
  const positions = [];
  for (const group of all) {
    const offsets = await broker.positions(group);
    if (offsets === null && named !== true) await broker.admin.describeGroup(group); // It throws GROUP_ID_NOT_FOUND.
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
      `the committed offsets of ${failed.map(({ group }) => group).join(", ")} were not set (${failed[0]?.error}); once that is fixed, run the same command again`,
    );
}

function importedText({ topic, records, stored, partitions, groups }: Imported): string {
  const there = stored < records ? `, ${records - stored} of which were stored before` : "";
  const lines = [
    `Imported ${count(records, "record")} to ${count(partitions, "partition")} of ${topic}${there}.`,
  ];
  for (const { group, set, kept, error } of groups) {
    if (error !== undefined) continue;
    const rest = kept > 0 ? ` (${kept} had one before, which stays)` : "";
    lines.push(`Group ${group} has its committed offsets in ${count(set, "partition")}${rest}.`);
  }
  return lines.join("\n");
}
