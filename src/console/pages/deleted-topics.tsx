// Deleted topics that are kept for a while. They can be restored, or freed at once.
import { useState } from "preact/hooks";
import { announce } from "../announce.ts";
import { get, request } from "../api.ts";
import { numberText } from "../format.ts";
import { PAGE_ROWS } from "../list-query.ts";
import { useLoad } from "../load.ts";
import { navigate } from "../navigation.ts";
import { paths } from "../router.ts";
import { isOffered } from "../session.ts";
import { Confirm } from "../ui/confirm.tsx";
import { Empty, ErrorNote, Loaded } from "../ui/states.tsx";
import { type Column, Table } from "../ui/table.tsx";
import { Time } from "../ui/time.tsx";

interface DeletedTopic {
  readonly name: string;
  readonly topicId: string;
  readonly partitions: number;
  readonly deletedAt: string;
  readonly purgeAt: string;
}

interface Page {
  readonly topics: readonly DeletedTopic[];
  readonly next?: string;
}

const DELETED_PATH = "/v1/deleted-topics";

export function DeletedTopicsPage() {
  const [after, setAfter] = useState("");
  const [purged, setPurged] = useState<DeletedTopic | null>(null);
  const [error, setError] = useState<unknown>();
  const query = new URLSearchParams({
    limit: String(PAGE_ROWS),
    ...(after === "" ? {} : { after }),
  });
  const loading = useLoad((aborted) => get<Page>(`${DELETED_PATH}?${query}`, aborted), [after]);
  const undelete = async ({ name, topicId }: DeletedTopic) => {
    try {
      const path = `${DELETED_PATH}/${encodeURIComponent(name)}/undelete`;
      await request("POST", path, { body: { topicId } });
      announce(`Topic ${name} was restored.`);
      navigate(paths.topic(name));
    } catch (thrown) {
      setError(thrown);
    }
  };
  const columns: readonly Column<DeletedTopic>[] = [
    { title: "Topic", cell: ({ name }) => <span class="data">{name}</span> },
    { title: "Id", cell: ({ topicId }) => <span class="data">{topicId}</span> },
    { title: "Partitions", isNumber: true, cell: ({ partitions }) => numberText(partitions) },
    { title: "Deleted", cell: ({ deletedAt }) => <Time ms={Date.parse(deletedAt)} /> },
    { title: "Kept until", cell: ({ purgeAt }) => <Until at={purgeAt} /> },
    {
      title: "Actions",
      cell: (topic) =>
        isOffered("DELETE", "topic", topic.name) && (
          <div class="buttons">
            <button type="button" onClick={() => void undelete(topic)}>
              Restore<span class="unseen"> {topic.name}</span>
            </button>
            <button type="button" class="dangerous" onClick={() => setPurged(topic)}>
              Free<span class="unseen"> {topic.name}</span>…
            </button>
          </div>
        ),
    },
  ];
  return (
    <>
      <p class="crumbs">
        <a href={paths.topics()}>Topics</a>
      </p>
      <h1>Deleted topics</h1>
      {error !== undefined && <ErrorNote error={error} />}
      <Loaded what="the deleted topics" loading={loading}>
        {({ topics, next }) =>
          topics.length === 0 ? (
            <Empty>There are no deleted topics to restore.</Empty>
          ) : (
            <>
              <Table
                caption="Deleted topics"
                isCaptionHidden
                columns={columns}
                rows={topics}
                keyOf={({ topicId }) => topicId}
              />
              {next !== undefined && (
                <button type="button" onClick={() => setAfter(next)}>
                  Next page
                </button>
              )}
            </>
          )
        }
      </Loaded>
      {purged !== null && (
        <Purge topic={purged} onClose={() => setPurged(null)} onDone={loading.reload} />
      )}
    </>
  );
}

function Until({ at }: { at: string }) {
  return (
    <time class="data" dateTime={at}>
      {at.slice(0, 16).replace("T", " ")} UTC
    </time>
  );
}

function Purge(props: { topic: DeletedTopic; onClose: () => void; onDone: () => void }) {
  const { topic, onClose, onDone } = props;
  const act = async () => {
    const query = new URLSearchParams({ topicId: topic.topicId });
    await request("DELETE", `${DELETED_PATH}/${encodeURIComponent(topic.name)}?${query}`);
    announce(`Topic ${topic.name} was freed.`);
    onClose();
    onDone();
  };
  return (
    <Confirm
      title="Free the topic now?"
      name={topic.name}
      action="Free it now"
      act={act}
      onClose={onClose}
    >
      <p>Its records are deleted permanently. This cannot be undone.</p>
    </Confirm>
  );
}
