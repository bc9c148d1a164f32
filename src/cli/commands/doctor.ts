// rivulet doctor: compares the cluster with its partitions, its groups and the data folder.
import { FAN_OUT } from "../../core/limits.ts";
import { DOCTOR_PATH } from "../../protocol/paths.ts";
import { BrokerError } from "../../sdk/index.ts";
import { agrees, mayAsk } from "../ask.ts";
import { Broker } from "../broker.ts";
import type { Command } from "../command.ts";
import { type GlobalOptions, print, UsageError } from "../context.ts";
import { readFolder } from "../doctor/data-folder.ts";
import { examine } from "../doctor/examine.ts";
import { type Finding, findingText } from "../doctor/findings.ts";
import { count } from "../figures.ts";
import { note as writeNote } from "../plain.ts";

interface DoctorOptions {
  readonly dataDir?: string;
  readonly repair?: true;
  readonly destroyOrphans?: true;
  readonly yes?: true;
}

interface Outcome extends Finding {
  /** True if it was repaired, or freed. */
  readonly repaired: boolean;
}

export function addDoctor(program: Command): void {
  program
    .command("doctor")
    .summary("find and repair what does not fit together")
    .description(
      "Compares what the cluster's object knows with what partitions and groups say, and with the files of the data " +
        "folder if it is named. It wakes every partition that was used and every group.",
    )
    .option(
      "--data-dir <path>",
      "the broker's DATA_DIR on this machine, to find files that belong to nothing",
    )
    .option("--repair", "repair what can be repaired without losing anything")
    .option(
      "--destroy-orphans",
      "free partitions in the folder that belong to no topic: their records are lost",
    )
    .option("-y, --yes", "do not ask before a change")
    .failsIf("anything is wrong and was not repaired")
    .seeAlso("recover", "export")
    .examples(
      "rivulet doctor",
      "rivulet doctor --data-dir .rivulet --repair",
      "rivulet --json doctor | jq .findings",
    )
    .action(async (options: DoctorOptions, command: Command) => {
      await run(options, command.optsWithGlobals<GlobalOptions>());
    });
}

async function run(options: DoctorOptions, global: GlobalOptions): Promise<void> {
  if ((options.repair || options.destroyOrphans) && !options.yes && !mayAsk())
    throw new UsageError("a change is confirmed on a terminal; elsewhere give --yes");
  if (options.destroyOrphans && options.dataDir === undefined)
    throw new UsageError(
      "--destroy-orphans goes with --data-dir, the folder in which it finds orphans",
    );
  const note = (text: string) => {
    if (!global.quiet) writeNote(text);
  };
  const broker = new Broker(global, note);
  const examined = await examine(broker, options.dataDir ?? null, (partitions, groups) =>
    note(
      `# this wakes ${count(partitions, "used partition")} and ${count(groups, "listed group")}, ${FAN_OUT} at a time`,
    ),
  );
  const findings: Outcome[] = [];
  const isWanted = await wanted(examined.findings, options);
  for (const finding of examined.findings) {
    const repaired = isWanted(finding) ? await repair(broker, finding, note) : false;
    findings.push({ ...finding, repaired });
  }
  if (options.dataDir !== undefined) await markCopies(findings, options.dataDir, note);
  print(global, { ...examined, findings }, () => report(findings, examined.notLooked));
  if (findings.some(({ repaired }) => !repaired)) process.exitCode = 1;
}

/** Marks files that are still there. Each is a copy under another name: no object uses it, so none can free it. */
async function markCopies(
  findings: Outcome[],
  dataDir: string,
  note: (text: string) => void,
): Promise<void> {
  if (!findings.some(({ orphan, repaired }) => repaired && orphan !== undefined)) return;
  const left = new Set((await readFolder(dataDir)).found.map(({ file }) => file));
  for (const [at, finding] of findings.entries()) {
    const { orphan, repaired, about } = finding;
    if (orphan === undefined || !repaired || !left.has(orphan.file)) continue;
    findings[at] = { ...finding, repaired: false };
    note(
      `# ${about} was freed, but not ${orphan.file}: it is a copy that no object uses; remove it while the broker is stopped`,
    );
  }
}

/** Asks what to do. The function that it returns is true for a finding to repair. */
async function wanted(
  findings: readonly Finding[],
  { repair: repairs, destroyOrphans, yes }: DoctorOptions,
): Promise<(finding: Finding) => boolean> {
  const safe = findings.filter((finding) => finding.repair !== null);
  const orphans = findings.filter(({ orphan }) => orphan !== undefined);
  const isAgreed = async (of: readonly Finding[], what: string) =>
    of.length > 0 &&
    (yes || (await agrees(`${of.map(findingText).join("\n\n")}\n\n${what} [y/N] `)));
  const doesRepair = repairs && (await isAgreed(safe, `Repair ${count(safe.length, "finding")}?`));
  const doesDestroy =
    destroyOrphans &&
    (await isAgreed(orphans, `Free ${count(orphans.length, "partition")} and lose the records?`));
  return (finding) =>
    (doesRepair === true && finding.repair !== null) ||
    (doesDestroy === true && finding.orphan !== undefined);
}

async function repair(
  broker: Broker,
  { repair: call, orphan, about }: Finding,
  note: (text: string) => void,
): Promise<boolean> {
  try {
    if (call !== null) await broker.json(call.method, call.path, call.body);
    else if (orphan !== undefined) {
      const { topicId, partition } = orphan;
      await broker.json("POST", `${DOCTOR_PATH}/orphans`, { topicId, partition });
    }
    return true;
  } catch (error) {
    // A group that is only listed is removed from the list, and answered as one that does not exist.
    if (error instanceof BrokerError && error.code === "GROUP_ID_NOT_FOUND") return true;
    if (!(error instanceof BrokerError)) throw error;
    note(`# ${about} could not be repaired: ${error.code}: ${error.message}`);
    return false;
  }
}

function report(findings: readonly Outcome[], notLooked: readonly string[]): string {
  const texts = findings.map((each) => `${findingText(each)}${each.repaired ? "\n  Done." : ""}`);
  const open = findings.filter(({ repaired }) => !repaired).length;
  const end =
    findings.length === 0
      ? "All is well."
      : `${count(findings.length, "finding")}, ${open === 0 ? "all repaired" : `${open} open`}.`;
  return [...texts, ...notLooked, end].join("\n\n");
}
