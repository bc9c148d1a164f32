// A topic and its tabs.
import type { TopicInfo } from "../../core/topic-info.ts";
import { topicPath } from "../../protocol/paths.ts";
import { get } from "../api.ts";
import { useLoad } from "../load.ts";
import { paths, TOPIC_TABS, type TopicTab } from "../router.ts";
import { isOffered } from "../session.ts";
import { later } from "../ui/later.tsx";
import { Star } from "../ui/star.tsx";
import { Loaded } from "../ui/states.tsx";
import { Tabs } from "../ui/tabs.tsx";
import { TopicRecords } from "./topic-records.tsx";

const TopicConfig = later(
  "the config",
  async () => (await import("./topic-config.tsx")).TopicConfig,
);
const TopicPartitions = later(
  "the partitions",
  async () => (await import("./topic-partitions.tsx")).TopicPartitions,
);
const OwnCosts = later("the costs", async () => (await import("./own-costs.tsx")).OwnCosts);
const TopicGroups = later(
  "the groups",
  async () => (await import("./topic-groups.tsx")).TopicGroups,
);

const TITLES: Readonly<Record<TopicTab, string>> = {
  records: "Records",
  partitions: "Partitions",
  groups: "Groups",
  config: "Config",
  costs: "Costs",
};

export function TopicPage({ name, tab }: { name: string; tab: TopicTab }) {
  const loading = useLoad((aborted) => get<TopicInfo>(topicPath(name), aborted), [name]);
  return (
    <>
      <p class="crumbs">
        <a href={paths.topics()}>Topics</a>
      </p>
      <div class="row">
        <h1 class="data">{name}</h1>
        <Star kind="topic" name={name} />
      </div>
      <Tabs
        label="Parts of the topic"
        tabs={TOPIC_TABS.filter((each) => each !== "costs" || isOffered("DESCRIBE", "cluster")).map(
          (each) => ({
            title: TITLES[each],
            href: paths.topic(name, each),
            isCurrent: each === tab,
          }),
        )}
      />
      <Loaded what="the topic" loading={loading}>
        {(topic) => (
          <>
            {tab === "records" && <TopicRecords topic={topic} />}
            {tab === "partitions" && <TopicPartitions topic={topic} onChange={loading.reload} />}
            {tab === "groups" && <TopicGroups topic={topic} />}
            {tab === "costs" && <OwnCosts kind="topic" name={name} />}
            {tab === "config" && <TopicConfig topic={topic} onChange={loading.reload} />}
          </>
        )}
      </Loaded>
    </>
  );
}
