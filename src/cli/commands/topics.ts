// rivulet topics create | list | describe | alter | delete-records | delete | list-deleted | undelete | purge
import { Option } from "commander";
import type { TopicInfo } from "../../sdk/index.ts";
import { whole } from "../answer.ts";
import type { Command } from "../command.ts";
import { configText, listOf } from "../config-text.ts";
import { connect, type GlobalOptions, print, UsageError } from "../context.ts";
import { bytesText, count } from "../figures.ts";
import { listDeletedTopics, listTopics, purgeTopic, undeleteTopic } from "../lists.ts";
import {
  type ConfigChange,
  changeOf,
  collectConfig,
  collectKey,
  parseWholeNumber,
} from "../options.ts";
import { plain } from "../plain.ts";
import { table } from "../table.ts";
import { type TopicSize, topicSizes } from "../told.ts";

const LIST_ORDERS = ["name", "partitions", "records", "bytes"] as const;
type ListOrder = (typeof LIST_ORDERS)[number];

interface Bounds {
  readonly partition: number;
  readonly logStartOffset: number;
  readonly logEndOffset: number;
}

export function addTopics(program: Command): void {
  const topics = program
    .command("topics")
    .summary("create, list, describe, alter and delete topics")
    .description(
      "Creates, lists, describes, alters and deletes topics, and brings deleted ones back.",
    )
    .seeAlso("configs", "groups", "produce", "consume")
    .examples("rivulet topics create orders --partitions 6", "rivulet topics list --sort bytes");

  topics
    .command("create <name>")
    .summary("create a topic")
    .description(
      "Creates a topic. A record with a key goes to the partition that the key determines.",
    )
    .option(
      "-p, --partitions <count>",
      "partitions, which is the most members of a group that can share the topic",
      parseWholeNumber,
      1,
    )
    .option(
      "-c, --config <key=value>",
      "a configuration value, such as max.message.bytes=1000; may be repeated (default: those of `rivulet configs describe`)",
      collectConfig,
    )
    .seeAlso("configs describe")
    .examples(
      "rivulet topics create orders --partitions 6",
      "rivulet topics create prices --config cleanup.policy=compact",
    )
    .action(
      async (
        name: string,
        options: { partitions: number; config?: Record<string, string> },
        command: Command,
      ) => {
        const global = command.optsWithGlobals<GlobalOptions>();
        const { admin } = connect(global);
        const topic = whole(await admin.createTopic({ name, ...options }), "name", "partitions");
        print(
          global,
          topic,
          () => `Created topic ${topic.name} with ${count(topic.partitions, "partition")}.`,
        );
      },
    );

  topics
    .command("list")
    .summary("list the topics and their sizes")
    .description(
      "Lists the topics with their partitions, records and stored bytes. The sizes come from the broker's metrics, " +
        "which wakes no partition, so they may be a minute old. They take DESCRIBE on the cluster; without it, and " +
        "where nothing is known yet, the column shows a dash. Compaction leaves fewer records than shown.",
    )
    .addOption(
      new Option("--sort <order>", "sort by name, or by a size, the largest first")
        .choices(LIST_ORDERS)
        .default("name"),
    )
    .seeAlso("costs")
    .examples("rivulet topics list --sort records", "rivulet --json topics list | jq '.[].name'")
    .action(async ({ sort }: { sort: ListOrder }, command: Command) => {
      const global = command.optsWithGlobals<GlobalOptions>();
      const [topics, sizes] = await Promise.all([listTopics(global), topicSizes(global)]);
      const unknown: TopicSize = { records: null, bytes: null };
      const all = topics.map((topic) => ({ ...topic, ...(sizes.get(topic.name) ?? unknown) }));
      if (sort !== "name") all.sort((a, b) => (b[sort] ?? -1) - (a[sort] ?? -1));
      print(global, all, () =>
        all.length === 0
          ? "There are no topics. `rivulet topics create NAME` creates one."
          : table(
              ["TOPIC", "PARTITIONS", "RECORDS", "STORED"],
              all.map(({ name, partitions, records, bytes }) => [
                name,
                partitions,
                records,
                bytes === null ? null : { figure: bytesText(bytes) },
              ]),
            ),
      );
    });

  topics
    .command("describe <topic>")
    .summary("show a topic's configuration and partitions")
    .description(
      "Shows a topic, its configuration, and where each partition's log starts and ends.",
    )
    .examples(
      "rivulet topics describe orders",
      "rivulet --json topics describe orders | jq .config",
    )
    .action(async (name: string, _options: object, command: Command) => {
      const global = command.optsWithGlobals<GlobalOptions>();
      const { admin } = connect(global);
      const answer = await admin.describeTopic(name);
      const topic = whole(answer, "name", "topicId", "partitions", "overrides");
      const offsets: Bounds[] = [];
      for (let partition = 0; partition < topic.partitions; partition++) {
        const bound = async (at: string) =>
          whole(await admin.listOffset(name, partition, at), "offset").offset;
        const logStartOffset = await bound("earliest");
        const logEndOffset = await bound("latest");
        offsets.push({ partition, logStartOffset, logEndOffset });
      }
      print(global, { ...topic, offsets }, () => describe(topic, offsets));
    });

  topics
    .command("alter <topic>")
    .summary("change a topic's configuration, or add partitions")
    .description(
      "Changes a topic's configuration, or gives it more partitions. Keys then go to other partitions than before.",
    )
    .option(
      "-p, --partitions <count>",
      "the number of partitions from now on, which may only grow",
      parseWholeNumber,
    )
    .option("-c, --config <key=value>", "set a configuration value; may be repeated", collectConfig)
    .option("--unset <key>", "set a key back to its default; may be repeated", collectKey)
    .seeAlso("configs describe")
    .examples(
      "rivulet topics alter orders --partitions 12",
      "rivulet topics alter orders --config retention.ms=3600000 --unset retention.bytes",
    )
    .action(
      async (
        name: string,
        { partitions, ...keys }: { partitions?: number } & ConfigChange,
        command: Command,
      ) => {
        const global = command.optsWithGlobals<GlobalOptions>();
        const config = changeOf(keys);
        if (partitions === undefined && config === null)
          throw new UsageError("give --partitions, --config or --unset");
        const change = {
          ...(partitions === undefined ? {} : { partitions }),
          ...(config === null ? {} : { config }),
        };
        const altered = await connect(global).admin.alterTopic(name, change);
        const topic = whole(altered, "name", "overrides");
        print(global, topic, () => `Altered topic ${topic.name}.\n${configText(topic.overrides)}`);
      },
    );

  topics
    .command("delete-records <topic>")
    .summary("delete the records of a partition before an offset")
    .description("Deletes the records of a partition before an offset. The log then starts there.")
    .requiredOption("--partition <number>", "the partition", parseWholeNumber)
    .requiredOption("--before <offset>", "the first offset that stays", parseWholeNumber)
    .examples(
      "rivulet topics delete-records orders --partition 0 --before 1000",
      "rivulet topics describe orders",
    )
    .action(
      async (name: string, options: { partition: number; before: number }, command: Command) => {
        const global = command.optsWithGlobals<GlobalOptions>();
        const { partition, before } = options;
        const { admin } = connect(global);
        const answer = await admin.deleteRecords(name, partition, before);
        const { logStartOffset } = whole(answer, "logStartOffset");
        const deleted = { topic: name, partition, logStartOffset };
        print(global, deleted, () => `${name}/${partition} begins at ${logStartOffset}.`);
      },
    );

  topics
    .command("delete <topic>")
    .summary("delete a topic and its records")
    .description(
      "Deletes a topic and its records. If topic.delete.delay.ms is set, they are kept for so long and can be brought back.",
    )
    .examples(
      "rivulet topics delete orders",
      "rivulet topics alter orders --config topic.delete.delay.ms=86400000",
    )
    .action(async (name: string, _options: object, command: Command) => {
      const global = command.optsWithGlobals<GlobalOptions>();
      await connect(global).admin.deleteTopic(name);
      print(global, { deleted: name }, () => `Deleted topic ${name}.`);
    });

  topics
    .command("list-deleted")
    .summary("list the deleted topics that are kept")
    .description("Lists the deleted topics that are kept, and until when.")
    .examples(
      "rivulet topics list-deleted",
      "rivulet --json topics list-deleted | jq '.[].topicId'",
    )
    .action(async (_options: object, command: Command) => {
      const global = command.optsWithGlobals<GlobalOptions>();
      const all = await listDeletedTopics(global);
      print(global, all, () =>
        all.length === 0
          ? "No deleted topic is kept."
          : table(
              ["TOPIC", "ID", "PARTITIONS", "DELETED", "KEPT UNTIL"],
              all.map((each) => [
                each.name,
                each.topicId,
                each.partitions,
                each.deletedAt,
                each.purgeAt,
              ]),
            ),
      );
    });

  topics
    .command("undelete <topic>")
    .summary("bring a deleted topic back")
    .description(
      "Brings a deleted topic back, with its records and the committed offsets of groups in it.",
    )
    .option("--id <topic-id>", "the topic's id, if several of that name were deleted")
    .examples(
      "rivulet topics undelete orders",
      "rivulet topics undelete orders --id 0b1c2d3e4f5a46b7a8c9d0e1f2a3b4c5",
    )
    .action(async (name: string, options: { id?: string }, command: Command) => {
      const global = command.optsWithGlobals<GlobalOptions>();
      const undeleted = await undeleteTopic(global, name, options.id);
      const topic = whole(undeleted, "name", "partitions");
      print(
        global,
        topic,
        () => `Topic ${topic.name} is back, with ${count(topic.partitions, "partition")}.`,
      );
    });

  topics
    .command("purge <topic>")
    .summary("free the storage of deleted topics now")
    .description(
      "Frees the storage of the deleted topics of this name now. They cannot be brought back.",
    )
    .option("--id <topic-id>", "only the topic with this id")
    .examples(
      "rivulet topics purge orders",
      "rivulet topics purge orders --id 0b1c2d3e4f5a46b7a8c9d0e1f2a3b4c5",
    )
    .action(async (name: string, options: { id?: string }, command: Command) => {
      const global = command.optsWithGlobals<GlobalOptions>();
      await purgeTopic(global, name, options.id);
      print(global, { purged: name }, () => `Freed the storage of deleted topics named ${name}.`);
    });
}

function describe(topic: TopicInfo, offsets: readonly Bounds[]): string {
  const rows = offsets.map((row) => [
    row.partition,
    row.logStartOffset,
    row.logEndOffset,
    row.logEndOffset - row.logStartOffset,
  ]);
  return [
    plain(`Topic:   ${topic.name}`),
    plain(`Id:      ${topic.topicId}`),
    `Config:  ${listOf(topic.overrides) || "the defaults"}`,
    "",
    table(["PARTITION", "LOG START", "LOG END", "OFFSETS"], rows),
  ].join("\n");
}
