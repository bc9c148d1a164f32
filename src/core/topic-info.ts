// A topic and configs as people see them: the shapes that the HTTP API and the SDK share. These are types only.

/** A topic. */
export interface TopicInfo extends ConfigInfo {
  readonly name: string;
  /** A UUID. A topic that is deleted and created again gets a new one. */
  readonly topicId: string;
  /** The number of partitions. */
  readonly partitions: number;
}

/** A configuration: the values in effect, and those that are set. */
export interface ConfigInfo {
  /** The config in effect, by Kafka's keys, e.g. `max.message.bytes`. */
  readonly config: Readonly<Record<string, string | number>>;
  /** The values set here. The rest of `config` are defaults. */
  readonly overrides: Readonly<Record<string, string | number>>;
}

/** The configuration of a group. */
export interface GroupConfigInfo extends ConfigInfo {
  readonly groupId: string;
}
