// The config of a topic, and its deletion.
import { useState } from "preact/hooks";
import type { ConfigInfo, TopicInfo } from "../../core/topic-info.ts";
import { CONFIGS_PATH, topicPath } from "../../protocol/paths.ts";
import { announce } from "../announce.ts";
import { get, request } from "../api.ts";
import { durationText } from "../format.ts";
import { useLoad } from "../load.ts";
import { navigate } from "../navigation.ts";
import { paths } from "../router.ts";
import { isOffered } from "../session.ts";
import { ConfigTable } from "../ui/config-table.tsx";
import { Confirm } from "../ui/confirm.tsx";
import { Loaded } from "../ui/states.tsx";

export function TopicConfig({ topic, onChange }: { topic: TopicInfo; onChange: () => void }) {
  const { name } = topic;
  const [isDeleting, setDeleting] = useState(false);
  const mayAskDefaults = isOffered("DESCRIBE_CONFIGS", "cluster");
  const loading = useLoad(
    async (aborted) => (mayAskDefaults ? await get<ConfigInfo>(CONFIGS_PATH, aborted) : null),
    [mayAskDefaults],
  );
  const change = async (config: Readonly<Record<string, unknown>>) => {
    await request("PATCH", topicPath(name), { body: { config } });
    onChange();
  };
  const remove = async () => {
    await request("DELETE", topicPath(name));
    announce(`Topic ${name} was deleted.`);
    navigate(paths.deletedTopics);
  };
  return (
    <>
      <h2>Config</h2>
      <Loaded what="the defaults" loading={loading}>
        {(defaults) => (
          <ConfigTable
            caption="Config of the topic"
            config={topic}
            defaults={defaults?.config ?? null}
            sourceOf={(key) =>
              defaults === null
                ? "default"
                : Object.hasOwn(defaults.overrides, key)
                  ? "the cluster's defaults"
                  : "Rivulet's default"
            }
            own="this topic"
            isEditable={isOffered("ALTER_CONFIGS", "topic", name)}
            onChange={change}
          />
        )}
      </Loaded>
      {isOffered("DELETE", "topic", name) && (
        <>
          <h2>Delete the topic</h2>
          <button type="button" class="dangerous" onClick={() => setDeleting(true)}>
            Delete the topic…
          </button>
        </>
      )}
      {isDeleting && (
        <Confirm
          title="Delete the topic?"
          name={name}
          action="Delete the topic"
          act={remove}
          onClose={() => setDeleting(false)}
        >
          <p>
            <span class="data">{name}</span> and its records disappear for clients at once.{" "}
            {keptText(Number(topic.config["topic.delete.delay.ms"]))}
          </p>
        </Confirm>
      )}
    </>
  );
}

/** Says how long a deleted topic can be restored. */
function keptText(delayMs: number): string {
  if (delayMs > 0) return `It can be restored for ${durationText(delayMs)}.`;
  return delayMs === 0
    ? "It cannot be restored."
    : "It can be restored for a day on Cloudflare, but not on a machine's disk.";
}
