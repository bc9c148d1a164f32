// The list of topics, in pages of a hundred, and the form that creates one.
import { useState } from "preact/hooks";
import type { TopicInfo } from "../../core/topic-info.ts";
import { TOPICS_PATH } from "../../protocol/paths.ts";
import { announce } from "../announce.ts";
import { get, request } from "../api.ts";
import { bytesText, countText, durationText, numberText } from "../format.ts";
import { listQuery, withPrefix } from "../list-query.ts";
import { useLoad } from "../load.ts";
import { navigate } from "../navigation.ts";
import { paths } from "../router.ts";
import { isOffered, me } from "../session.ts";
import { Dialog } from "../ui/dialog.tsx";
import { Field, Form } from "../ui/form.tsx";
import { Pager, PrefixFilter } from "../ui/list-page.tsx";
import { Favorites, StarredLink } from "../ui/star.tsx";
import { Empty, Loaded } from "../ui/states.tsx";
import { type Column, Table } from "../ui/table.tsx";

interface Page {
  readonly topics: readonly TopicInfo[];
  readonly next?: string;
}

const COLUMNS: readonly Column<TopicInfo>[] = [
  {
    title: "Topic",
    cell: ({ name }) => <StarredLink kind="topic" name={name} />,
  },
  { title: "Partitions", isNumber: true, cell: ({ partitions }) => numberText(partitions) },
  { title: "Cleanup", cell: ({ config }) => config["cleanup.policy"] || "keep everything" },
  {
    title: "Kept for",
    isNumber: true,
    cell: ({ config }) => boundText(config["retention.ms"], durationText),
  },
  {
    title: "Maximum per partition",
    isNumber: true,
    cell: ({ config }) => boundText(config["retention.bytes"], bytesText),
  },
];

function boundText(value: string | number | undefined, show: (value: number) => string): string {
  const bound = Number(value);
  return bound < 0 || bound === Number.MAX_SAFE_INTEGER ? "no bound" : show(bound);
}

export function TopicsPage({ prefix, after }: { prefix: string; after: string }) {
  const [isCreating, setCreating] = useState(false);
  const loading = useLoad(
    (aborted) => get<Page>(`${TOPICS_PATH}?${listQuery(prefix, after)}`, aborted),
    [prefix, after],
  );
  return (
    <>
      <div class="row">
        <h1>Topics</h1>
        {mayCreateSome() && (
          <button type="button" onClick={() => setCreating(true)}>
            Create a topic…
          </button>
        )}
        <a href={paths.deletedTopics}>Deleted topics</a>
      </div>
      <Favorites kind="topic" prefix={prefix} />
      <PrefixFilter key={prefix} prefix={prefix} pathOf={paths.topics} />
      <Loaded what="the topics" loading={loading}>
        {({ topics, next }) => {
          const page = withPrefix(topics, next, prefix, ({ name }) => name);
          return page.items.length === 0 ? (
            <Empty>
              {prefix === ""
                ? "There are no topics, or none that you may describe."
                : "No topic name begins with this."}
            </Empty>
          ) : (
            <>
              <Table
                caption="Topics"
                isCaptionHidden
                columns={COLUMNS}
                rows={page.items}
                keyOf={({ topicId }) => topicId}
              />
              <Pager
                what="topics"
                isFirst={after === ""}
                first={paths.topics({ prefix })}
                next={
                  page.next === undefined ? undefined : paths.topics({ prefix, after: page.next })
                }
              />
            </>
          );
        }}
      </Loaded>
      {isCreating && <Create onClose={() => setCreating(false)} />}
    </>
  );
}

/** True if there is a name under which the caller may create a topic. */
function mayCreateSome(): boolean {
  return (
    isOffered("CREATE", "cluster") ||
    (me.value?.grants ?? []).some(
      (grant) =>
        "topics" in grant && grant.operations.some((each) => each === "CREATE" || each === "ALL"),
    )
  );
}

function Create({ onClose }: { onClose: () => void }) {
  const [name, setName] = useState("");
  const [partitions, setPartitions] = useState("1");
  const create = async () => {
    const body = { name, partitions: Number(partitions) };
    await request("POST", TOPICS_PATH, { body });
    announce(`Topic ${name} was created with ${countText(body.partitions, "partition")}.`);
    onClose();
    navigate(paths.topic(name));
  };
  return (
    <Dialog title="Create a topic" onClose={onClose}>
      <Form action="Create" act={create} isReady={name !== ""} onCancel={onClose}>
        <Field label="Name" value={name} onInput={setName} isRequired />
        <Field
          label="Partitions"
          type="number"
          min={1}
          value={partitions}
          onInput={setPartitions}
          isRequired
          isNarrow
          hint="Partitions can be added later, but never removed."
        />
      </Form>
    </Dialog>
  );
}
