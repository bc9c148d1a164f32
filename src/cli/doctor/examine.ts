// Collects what `rivulet doctor` compares. It wakes used partitions and listed groups only, some at a time.
import { FAN_OUT } from "../../core/limits.ts";
import { mapConcurrently } from "../../core/map-concurrently.ts";
import { DOCTOR_PATH, groupPath, partitionPath } from "../../protocol/paths.ts";
import { BrokerError } from "../../sdk/index.ts";
import { listed, whole } from "../answer.ts";
import type { Broker, TopicPosition } from "../broker.ts";
import { readFolder } from "./data-folder.ts";
import {
  type Failed,
  type Finding,
  type Found,
  folderFindings,
  groupFinding,
  type KnownTopic,
  type PartitionState,
  partitionFindings,
  partitionsToWake,
  positionFindings,
  type Task,
  taskFinding,
} from "./findings.ts";

/** A task that is still there after this time is not getting done: the cluster retries after a second. */
const TASK_MS = 3_000;

export interface Examined {
  readonly woken: { readonly partitions: number; readonly groups: number };
  readonly findings: readonly Finding[];
  /** Sentences about what was not examined, and why. */
  readonly notLooked: readonly string[];
}

/** Calls `announce` with the number of objects that are woken, before it wakes them. */
export async function examine(
  broker: Broker,
  dataDir: string | null,
  announce: (partitions: number, groups: number) => void,
): Promise<Examined> {
  const startMs = performance.now();
  const tasks = await tasksOf(broker);
  const topics = await topicsOf(broker);
  const groups = (await groupsOf(broker)).map(({ groupId }) => groupId);
  const places = topics.flatMap((topic) =>
    partitionsToWake(topic).map((partition) => ({ topic, partition })),
  );
  announce(places.length, groups.length);
  const ends = new Map<string, number>();
  const findings: Finding[] = [];
  const ofPartitions = await mapConcurrently(places, FAN_OUT, async ({ topic, partition }) => {
    const path = `${partitionPath(topic.name, partition)}/state`;
    const state = await answerOf(() => broker.json<PartitionState>("GET", path));
    if ("code" in state && GONE.has(state.code)) return []; // It was deleted in the meantime.
    if (!("code" in state)) {
      const { highWatermark } = whole(state, "highWatermark", "hasConfig");
      ends.set(`${topic.name}/${partition}`, highWatermark);
    }
    return partitionFindings(topic, partition, state);
  });
  findings.push(...ofPartitions.flat());
  const ofGroups = await mapConcurrently(groups, FAN_OUT, async (group): Promise<Finding[]> => {
    const path = `${groupPath(group)}/offsets`;
    const answer = await answerOf(() => broker.json<{ offsets: TopicPosition[] }>("GET", path));
    if ("code" in answer)
      return [groupFinding(group, answer.code === "GROUP_ID_NOT_FOUND" ? null : answer)];
    return positionFindings(group, listed(answer.offsets, "offsets"), (topic, partition) =>
      ends.get(`${topic}/${partition}`),
    );
  });
  const missing = ofGroups.flat();
  if (missing.some(({ kind }) => kind === "group-missing")) {
    // A group that was deleted in the meantime is no longer listed.
    const present = new Set((await groupsOf(broker)).map(({ groupId }) => groupId));
    findings.push(
      ...missing.filter(({ kind, about }) => kind !== "group-missing" || present.has(about)),
    );
  } else findings.push(...missing);
  const notLooked: string[] = [];
  if (dataDir === null)
    notLooked.push(
      "Files of partitions and groups that the cluster does not know were not looked for: name the broker's folder with --data-dir. (On Cloudflare the objects of a namespace are listed by its REST API, which this command does not ask.)",
    );
  else findings.push(...(await folder(broker, dataDir, notLooked)));
  if (tasks.length > 0) {
    const leftMs = TASK_MS - (performance.now() - startMs);
    if (leftMs > 0) await new Promise((resolve) => setTimeout(resolve, leftMs));
    const still = new Set((await tasksOf(broker)).map(({ id }) => id));
    findings.push(...tasks.filter(({ id }) => still.has(id)).map(taskFinding));
  }
  return { woken: { partitions: places.length, groups: groups.length }, findings, notLooked };
}

const GONE = new Set(["UNKNOWN_TOPIC_OR_PARTITION", "UNKNOWN_TOPIC_ID"]);

async function folder(broker: Broker, dataDir: string, notLooked: string[]): Promise<Finding[]> {
  const { found, unread } = await readFolder(dataDir);
  notLooked.push(...unread);
  // The folder was read before, so what was created since is known. A file of something just deleted may be left.
  const topics = new Map((await topicsOf(broker)).map((topic) => [topic.topicId, topic]));
  const groups = new Set((await groupsOf(broker)).map(({ groupId }) => groupId));
  const findings = folderFindings(found, topics, groups);
  if (findings.length === 0) return [];
  const again = new Set((await readFolder(dataDir)).found.map(({ file }) => file));
  const kept = await deletedTopics(broker);
  // A topic may be undeleted after the first list was read and before the second.
  for (const { topicId } of await topicsOf(broker)) if (!topics.has(topicId)) kept.add(topicId);
  const isFound = (each: Found) =>
    again.has(each.file) && !(each.kind === "partition" && kept.has(each.topicId));
  return folderFindings(found.filter(isFound), topics, groups);
}

/** Returns the ids of deleted topics that are kept. */
async function deletedTopics(broker: Broker): Promise<Set<string>> {
  const ids = new Set<string>();
  for (let after = ""; ; ) {
    const { topics, next } = await broker.again(() =>
      broker.json<{ topics: { topicId: string }[]; next?: string }>(
        "GET",
        `/v1/deleted-topics?after=${encodeURIComponent(after)}`,
      ),
    );
    for (const { topicId } of listed(topics, "topics")) ids.add(topicId);
    if (next === undefined) return ids;
    after = next;
  }
}

async function topicsOf(broker: Broker): Promise<KnownTopic[]> {
  const all: KnownTopic[] = [];
  for (;;) {
    const last = all.at(-1)?.name;
    const query = last === undefined ? "" : `?after=${encodeURIComponent(last)}`;
    const answer = await broker.again(() =>
      broker.json<{ topics: KnownTopic[] }>("GET", `${DOCTOR_PATH}/topics${query}`),
    );
    const topics = listed(answer?.topics, "topics");
    if (topics.length === 0) return all;
    for (const topic of topics)
      all.push({ ...whole(topic, "name", "topicId", "partitions"), used: topic.used ?? null });
  }
}

async function groupsOf(broker: Broker): Promise<readonly { readonly groupId: string }[]> {
  return listed(await broker.admin.listGroups(), "groups");
}

async function tasksOf(broker: Broker): Promise<Task[]> {
  const ask = () => broker.json<{ tasks: Task[] }>("GET", `${DOCTOR_PATH}/tasks`);
  return [...listed((await broker.again(ask))?.tasks, "tasks")];
}

/** Returns the answer, or the broker's error. @throws any other error */
async function answerOf<T>(ask: () => Promise<T>): Promise<T | Failed> {
  try {
    return await ask();
  } catch (error) {
    if (!(error instanceof BrokerError)) throw error;
    return { code: error.code, detail: error.message };
  }
}
