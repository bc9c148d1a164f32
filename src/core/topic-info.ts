// A topic and configs as people see them: the shapes that the HTTP API and the SDK share. These are types only.

export interface TopicInfo extends ConfigInfo {
  readonly name: string;
  readonly topicId: string;
  readonly partitions: number;
}

export interface ConfigInfo {
  /** The config in effect, by Kafka's keys, e.g. `max.message.bytes`. */
  readonly config: Readonly<Record<string, string | number>>;
  /** The values set here. The rest of `config` are defaults. */
  readonly overrides: Readonly<Record<string, string | number>>;
}

export interface GroupConfigInfo extends ConfigInfo {
  readonly groupId: string;
}
