// rivulet topics create | list | describe | alter | delete
import { type Command, InvalidArgumentError } from "commander";
import type { ConfigInfo, TopicInfo } from "../../sdk/index.ts";
import { connect, examples, type GlobalOptions, print, UsageError } from "../context.ts";
import { listDeletedTopics, listTopics, purgeTopic, undeleteTopic } from "../lists.ts";
import { table } from "../table.ts";

export function addTopics(program: Command): void {
  const topics = program
    .command("topics")
    .description("create, list, describe, alter and delete topics")
    .addHelpText(
      "after",
      examples("rivulet topics create orders --partitions 6", "rivulet topics list"),
    );

  topics
    .command("create <name>")
    .description("create a topic")
    .addHelpText(
      "after",
      examples(
        "rivulet topics create orders --partitions 6",
        "rivulet topics create prices --config cleanup.policy=compact",
      ),
    )
    .option(
      "-p, --partitions <count>",
      "how many partitions: the most members of a group that can share it",
      parseWholeNumber,
      1,
    )
    .option(
      "-c, --config <key=value>",
      "a configuration value, e.g. max.message.bytes=1000; may be repeated",
      collectConfig,
    )
    .action(
      async (
        name: string,
        options: { partitions: number; config?: Record<string, string> },
        command: Command,
      ) => {
        const global = command.optsWithGlobals<GlobalOptions>();
        const topic = await connect(global).admin.createTopic({ name, ...options });
        print(
          global,
          topic,
          () => `Created topic ${topic.name} with ${count(topic.partitions, "partition")}.`,
        );
      },
    );

  topics
    .command("list")
    .description("list the topics")
    .addHelpText(
      "after",
      examples("rivulet topics list", "rivulet --json topics list | jq '.[].name'"),
    )
    .action(async (_options: object, command: Command) => {
      const global = command.optsWithGlobals<GlobalOptions>();
      const all = await listTopics(global);
      print(global, all, () =>
        all.length === 0
          ? "There are no topics. `rivulet topics create NAME` creates one."
          : table(
              ["TOPIC", "PARTITIONS"],
              all.map((topic) => [topic.name, topic.partitions]),
            ),
      );
    });

  topics
    .command("describe <topic>")
    .description("show a topic, its configuration and the bounds of its partitions")
    .addHelpText("after", examples("rivulet topics describe orders"))
    .action(async (name: string, _options: object, command: Command) => {
      const global = command.optsWithGlobals<GlobalOptions>();
      const { admin } = connect(global);
      const topic = await admin.describeTopic(name);
      const offsets: { partition: number; logStartOffset: number; logEndOffset: number }[] = [];
      for (let partition = 0; partition < topic.partitions; partition++) {
        const { offset: logStartOffset } = await admin.listOffset(name, partition, "earliest");
        const { offset: logEndOffset } = await admin.listOffset(name, partition, "latest");
        offsets.push({ partition, logStartOffset, logEndOffset });
      }
      print(global, { ...topic, offsets }, () => describe(topic, offsets));
    });

  topics
    .command("alter <topic>")
    .description("change a topic's configuration, or give it more partitions")
    .addHelpText(
      "after",
      examples(
        "rivulet topics alter orders --partitions 12",
        "rivulet topics alter orders --config retention.ms=3600000 --unset retention.bytes",
      ),
    )
    .option("-p, --partitions <count>", "how many partitions; they only grow", parseWholeNumber)
    .option("-c, --config <key=value>", "a configuration value; may be repeated", collectConfig)
    .option("--unset <key>", "set a key back to its default; may be repeated", collectKey)
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
        const topic = await connect(global).admin.alterTopic(name, change);
        print(global, topic, () => `Altered topic ${topic.name}.\n${configText(topic.overrides)}`);
      },
    );

  topics
    .command("delete-records <topic>")
    .description("delete the records of a partition before an offset")
    .addHelpText(
      "after",
      examples("rivulet topics delete-records orders --partition 0 --before 1000"),
    )
    .requiredOption("--partition <number>", "which partition", parseWholeNumber)
    .requiredOption("--before <offset>", "the first offset that stays", parseWholeNumber)
    .action(
      async (name: string, options: { partition: number; before: number }, command: Command) => {
        const global = command.optsWithGlobals<GlobalOptions>();
        const { partition, before } = options;
        const { admin } = connect(global);
        const { logStartOffset } = await admin.deleteRecords(name, partition, before);
        const deleted = { topic: name, partition, logStartOffset };
        print(global, deleted, () => `${name}/${partition} begins at ${logStartOffset}.`);
      },
    );

  topics
    .command("delete <topic>")
    .description(
      "delete a topic and all its records, which are kept for topic.delete.delay.ms where that is set",
    )
    .addHelpText("after", examples("rivulet topics delete orders"))
    .action(async (name: string, _options: object, command: Command) => {
      const global = command.optsWithGlobals<GlobalOptions>();
      await connect(global).admin.deleteTopic(name);
      print(global, { deleted: name }, () => `Deleted topic ${name}.`);
    });

  topics
    .command("list-deleted")
    .description("list the deleted topics that are kept, and until when")
    .addHelpText("after", examples("rivulet topics list-deleted"))
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
    .description("bring a deleted topic back, with its records and the positions of groups in it")
    .option("--id <topic-id>", "which one, if several of that name were deleted")
    .addHelpText("after", examples("rivulet topics undelete orders"))
    .action(async (name: string, options: { id?: string }, command: Command) => {
      const global = command.optsWithGlobals<GlobalOptions>();
      const topic = await undeleteTopic(global, name, options.id);
      print(
        global,
        topic,
        () => `Topic ${topic.name} is back, with ${count(topic.partitions, "partition")}.`,
      );
    });

  topics
    .command("purge <topic>")
    .description("free the storage of deleted topics of this name now; they cannot be brought back")
    .option("--id <topic-id>", "only this one of them")
    .addHelpText("after", examples("rivulet topics purge orders"))
    .action(async (name: string, options: { id?: string }, command: Command) => {
      const global = command.optsWithGlobals<GlobalOptions>();
      await purgeTopic(global, name, options.id);
      print(global, { purged: name }, () => `Freed what was deleted of topic ${name}.`);
    });
}

function describe(
  topic: TopicInfo,
  offsets: readonly { partition: number; logStartOffset: number; logEndOffset: number }[],
): string {
  const rows = offsets.map((row) => [
    row.partition,
    row.logStartOffset,
    row.logEndOffset,
    row.logEndOffset - row.logStartOffset,
  ]);
  return [
    `Topic:   ${topic.name}`,
    `Id:      ${topic.topicId}`,
    `Config:  ${listOf(topic.overrides) || "the defaults"}`,
    "",
    table(["PARTITION", "LOG START", "LOG END", "OFFSETS"], rows),
  ].join("\n");
}

export function parseWholeNumber(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError("It must be a whole number.");
  return Number(text);
}

export function positiveNumber(text: string): number {
  const number = parseWholeNumber(text);
  if (number < 1) throw new InvalidArgumentError("It must be at least 1.");
  return number;
}

export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

export interface ConfigChange {
  readonly config?: Record<string, string>;
  readonly unset?: Record<string, null>;
}

/** Returns the change as the broker takes it, or null if nothing is to change. */
export function changeOf({ config, unset }: ConfigChange): Record<string, string | null> | null {
  const both = Object.keys(config ?? {}).find((key) => Object.hasOwn(unset ?? {}, key));
  if (both !== undefined)
    throw new UsageError(`${both} is to be set and unset: give --config or --unset for it`);
  const change = { ...config, ...unset };
  return Object.keys(change).length === 0 ? null : change;
}

export function collectKey(key: string, previous: Record<string, null> = {}): Record<string, null> {
  return { ...previous, [key]: null };
}

/** Describes the values that are set, for people. */
export function configText(overrides: Readonly<Record<string, string | number>>): string {
  const set = listOf(overrides);
  return set === "" ? "Nothing is set: the defaults hold." : `Set: ${set}`;
}

/** Shows every key with the value in effect, and whether it was set. */
export function configTable({ config, overrides }: ConfigInfo, heading: string): string {
  const rows = Object.entries(config).map(([key, value]) => [
    key,
    value,
    Object.hasOwn(overrides, key) ? "set" : "",
  ]);
  return table(["KEY", heading, ""], rows);
}

function listOf(overrides: Readonly<Record<string, string | number>>): string {
  return Object.entries(overrides)
    .map(([key, value]) => `${key}=${value}`)
    .join(", ");
}

export function collectConfig(
  text: string,
  previous: Record<string, string>,
): Record<string, string> {
  const equals = text.indexOf("=");
  if (equals < 1) throw new InvalidArgumentError("It must be KEY=VALUE.");
  return { ...previous, [text.slice(0, equals)]: text.slice(equals + 1) };
}
