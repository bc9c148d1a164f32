// rivulet queue stats | consume | redrive
import { jsonBody } from "../../admin/http.ts";
import { shareGroupPath } from "../../protocol/paths.ts";
import { listed, whole } from "../answer.ts";
import type { Command } from "../command.ts";
import { connect, type GlobalOptions, print } from "../context.ts";
import { httpOf } from "../http.ts";
import { positiveNumber } from "../options.ts";
import { note, plain } from "../plain.ts";
import { lineOf, VALUE_ONLY } from "../record-text.ts";
import { jsonLine } from "../records.ts";
import { stopSignal } from "../stop.ts";
import { type Cell, table } from "../table.ts";

interface SharePartition {
  readonly topic: string;
  readonly partition: number;
  readonly startOffset: number;
  readonly inFlight: number;
  readonly waiting: number;
  readonly delayed: number;
  readonly archiving: number;
  readonly acknowledged: number;
  readonly archived: number;
  readonly lag: number;
}

interface ShareGroup {
  readonly groupId: string;
  readonly partitions: readonly SharePartition[];
}

interface Redriven {
  readonly redriven: number;
  readonly skipped: number;
  readonly left: number;
  readonly failed: readonly { partition: number; offset: number; detail: string }[];
}

interface ConsumeOptions {
  readonly topic: string[];
  readonly maxInFlight: number;
  readonly count?: number;
}

export function addQueue(program: Command): void {
  const queue = program
    .command("queue")
    .summary("consume a share group, show it, and send its dead letters back")
    .description("Consumes share groups, which are queues, shows them, and redrives dead letters.")
    .seeAlso("groups", "consume")
    .examples("rivulet queue stats workers", "rivulet queue redrive workers");

  queue
    .command("stats <group>")
    .summary("show what a share group has delivered")
    .description(
      "Shows for each partition of a share group how many records are held by consumers, wait for another delivery, were " +
        "accepted and were given up, and how many are not finished (lag). It asks the partitions, so the numbers are exact.",
    )
    .examples("rivulet queue stats workers", "rivulet --json queue stats workers | jq .partitions")
    .action(async (groupId: string, _: object, command: Command) => {
      const global = command.optsWithGlobals<GlobalOptions>();
      const answer = await httpOf(global).request<ShareGroup>("GET", shareGroupPath(groupId));
      print(global, whole(answer, "groupId", "partitions"), statsText);
    });

  queue
    .command("consume <group>")
    .summary("print the records of a share group, and accept each")
    .description(
      "Acquires records of a share group, prints each on a line and accepts it. Other consumers of the group get the others. " +
        "It ends at Ctrl-C, or after --count records.",
    )
    .requiredOption("-t, --topic <topics...>", "the topics")
    .option("--max-in-flight <count>", "hold so many records at most", positiveNumber, 100)
    .option("-n, --count <count>", "end after so many records", positiveNumber)
    .examples(
      "rivulet queue consume workers --topic jobs",
      "rivulet --json queue consume workers --topic jobs --count 10",
    )
    .action(async (groupId: string, options: ConsumeOptions, command: Command) => {
      await consume(command.optsWithGlobals<GlobalOptions>(), groupId, options);
    });

  queue
    .command("redrive <group>")
    .summary("send a share group's dead letters back to where they came from")
    .description(
      "Sends the dead letters of a share group back to the topics and partitions that they came from, each once. They are new " +
        "records there. A redrive that is cut off goes on where it was. Dead letters of other groups stay.",
    )
    .option("-n, --count <count>", "send so many back at most", positiveNumber)
    .failsIf("a dead letter cannot be sent back")
    .examples("rivulet queue redrive workers", "rivulet queue redrive workers --count 10")
    .action(async (groupId: string, options: { count?: number }, command: Command) => {
      const global = command.optsWithGlobals<GlobalOptions>();
      const result = await redriveAll(global, groupId, options.count ?? Number.POSITIVE_INFINITY);
      print(global, result, redrivenText);
      if (result.failed.length > 0) process.exitCode = 1;
    });
}

const COLUMNS = ["TOPIC", "PARTITION", "START", "IN FLIGHT", "WAITING", "DELAYED"];

function statsText({ partitions }: ShareGroup): string {
  const rows = partitions.map((each): Cell[] => {
    const { topic, partition, startOffset, inFlight, waiting, delayed } = each;
    const { archiving, acknowledged, archived, lag } = each;
    return [
      ...[topic, partition, startOffset, inFlight, waiting, delayed],
      ...[archiving, acknowledged, archived, lag],
    ];
  });
  return table([...COLUMNS, "ARCHIVING", "ACCEPTED", "GIVEN UP", "LAG"], rows);
}

async function consume(
  global: GlobalOptions,
  groupId: string,
  { topic: topics, maxInFlight, count = Number.POSITIVE_INFINITY }: ConsumeOptions,
): Promise<void> {
  const signal = stopSignal();
  const consumer = connect(global).shareConsumer({
    ...{ groupId, topics },
    maxInFlight: Math.min(maxInFlight, count),
    onError: (error) => note(`# ${error.message}`),
  });
  signal.addEventListener("abort", () => void consumer.close());
  let printed = 0;
  for await (const record of consumer) {
    const { topic, partition } = record;
    const place = { topic, partition };
    process.stdout.write(global.json ? jsonLine(record, place) : lineOf(record, place, VALUE_ONLY));
    await record.accept();
    if (++printed >= count || signal.aborted) break;
  }
}

/** The most dead letters of one request. */
const REDRIVE_STEP = 1_000;

async function redriveAll(global: GlobalOptions, groupId: string, most: number): Promise<Redriven> {
  const http = httpOf(global);
  let redriven = 0;
  let skipped = 0;
  for (;;) {
    const maxRecords = Math.min(REDRIVE_STEP, most - redriven);
    const path = `${shareGroupPath(groupId)}/redrive`;
    const step = await http.request<Redriven>("POST", path, jsonBody({ maxRecords }));
    redriven += step.redriven;
    skipped += step.skipped;
    const failed = listed(step.failed, "failed");
    const isOver = step.redriven + step.skipped === 0 || step.left === 0 || redriven >= most;
    if (isOver || failed.length > 0) return { ...step, redriven, skipped, failed };
  }
}

function redrivenText({ redriven, skipped, left, failed }: Redriven): string {
  const others = skipped === 0 ? "" : `, left ${skipped} of other groups`;
  const lines = failed.map(({ partition, offset, detail }) =>
    plain(`partition ${partition}, offset ${offset}: ${detail}`),
  );
  return [`Sent ${redriven} back${others}. ${left} to go.`, ...lines].join("\n");
}
