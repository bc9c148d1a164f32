// Every path of the HTTP API that clients build, in one place.

export const TOPICS_PATH = "/v1/topics";
export const GROUPS_PATH = "/v1/groups";
export const PRODUCERS_PATH = "/v1/producers";
export const CONFIGS_PATH = "/v1/configs";

export function topicPath(topic: string): string {
  return `${TOPICS_PATH}/${encodeURIComponent(topic)}`;
}

export function recordsPath(topic: string): string {
  return `${topicPath(topic)}/records`;
}

export function partitionPath(topic: string, partition: number): string {
  return `${topicPath(topic)}/partitions/${partition}`;
}

export function batchesPath(topic: string, partition: number): string {
  return `${partitionPath(topic, partition)}/batches`;
}

/** With the topic's id it leads to that topic only, and to none that was created anew under its name. */
export function partitionSocketPath(topic: string, partition: number, topicId: string): string {
  return `${partitionPath(topic, partition)}/socket?topicId=${encodeURIComponent(topicId)}`;
}

export function groupPath(groupId: string): string {
  return `${GROUPS_PATH}/${encodeURIComponent(groupId)}`;
}

export function groupSocketPath(groupId: string): string {
  return `${groupPath(groupId)}/socket`;
}
