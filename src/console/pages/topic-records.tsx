// The records of a topic: the start, the partitions, and the filter. Nothing is read before the user has chosen
// all of these.
import { useEffect, useRef, useState } from "preact/hooks";
import type { TopicInfo } from "../../core/topic-info.ts";
import { announce } from "../announce.ts";
import { countText, numberText } from "../format.ts";
import {
  type Filter,
  type From,
  NO_FILTER,
  type Progress,
  partitionOfKey,
  Scan,
} from "../record-scan.ts";
import { isOffered } from "../session.ts";
import { Checkbox, Choice, Field } from "../ui/form.tsx";
import { later } from "../ui/later.tsx";
import { ProduceButton } from "../ui/produce-button.tsx";
import { RecordTable } from "../ui/record-table.tsx";
import { Empty, ErrorNote } from "../ui/states.tsx";

const TopicTail = later(
  "the newest records",
  async () => (await import("./topic-tail.tsx")).TopicTail,
);

type FromType = From["type"];

const FROMS: readonly (readonly [FromType, string])[] = [
  ["newest", "newest"],
  ["oldest", "oldest"],
  ["offset", "an offset"],
  ["time", "a time"],
];

/** The number of records that are searched for at a time. */
const PAGE = 50;
/** A topic with up to this many partitions is read in all of them at first, a larger one in its first partition. */
const FEW_PARTITIONS = 12;

const EVERY = "every";

interface Asked {
  readonly partition: string;
  readonly type: FromType;
  readonly place: string;
  readonly filter: Filter;
  /** Searches all partitions for a key, in case the topic once had fewer. */
  readonly isEverywhere: boolean;
}

export function TopicRecords({ topic }: { topic: TopicInfo }) {
  const first: Asked = {
    partition: topic.partitions <= FEW_PARTITIONS ? EVERY : "0",
    type: "newest",
    place: "",
    filter: NO_FILTER,
    isEverywhere: false,
  };
  const [asked, setAsked] = useState(first);
  /** The search whose results are shown as they arrive. */
  const [followed, setFollowed] = useState<Asked | null>(null);
  const look = useLook(topic);
  const isReadable = isOffered("READ", "topic", topic.name);
  useEffect(() => {
    if (isReadable) look.begin(first);
  }, [topic.topicId]);
  if (!isReadable)
    return (
      <>
        <ProduceButton topic={topic.name} />
        <p class="note">You may view this topic, but not read it: that requires READ.</p>
      </>
    );
  return (
    <>
      <ProduceButton topic={topic.name} />
      <Question
        topic={topic}
        asked={asked}
        onChange={setAsked}
        begin={() => {
          setFollowed(null);
          look.begin(asked);
        }}
        follow={() => {
          look.stop();
          setFollowed(asked);
        }}
      />
      {followed === null ? (
        <Answer topic={topic} look={look} />
      ) : (
        <TopicTail
          key={JSON.stringify(followed)}
          topic={topic.name}
          partition={onlyPartition(followed, topic.partitions)}
          filter={followed.filter}
          onStop={() => {
            setFollowed(null);
            look.begin(asked);
          }}
        />
      )}
    </>
  );
}

function fromOf({ type, place }: Asked): From | null {
  if (type === "offset") return /^\d{1,16}$/.test(place) ? { type, offset: Number(place) } : null;
  if (type !== "time") return { type };
  const timestamp = Date.parse(place);
  return Number.isNaN(timestamp) ? null : { type, timestamp };
}

/** Returns the partitions to read. A key is searched for where Kafka's clients put it. */
function partitionsToRead({ partition, filter, isEverywhere }: Asked, count: number): number[] {
  if (partition !== EVERY) return [Number(partition)];
  if (filter.key !== "" && !isEverywhere) return [partitionOfKey(filter.key, count)];
  return Array.from({ length: count }, (_, i) => i);
}

/** Returns the only partition to read, or null for all. */
function onlyPartition(asked: Asked, count: number): number | null {
  const [partition = 0, ...others] = partitionsToRead(asked, count);
  return others.length === 0 && count > 1 ? partition : null;
}

function useLook(topic: TopicInfo) {
  const [progress, setProgress] = useState<Progress | null>(null);
  const [error, setError] = useState<unknown>();
  const [isLooking, setLooking] = useState(false);
  const scan = useRef<Scan | null>(null);
  const controller = useRef<AbortController | null>(null);
  useEffect(() => () => controller.current?.abort(), []);
  const run = async () => {
    controller.current?.abort();
    const own = new AbortController();
    controller.current = own;
    setLooking(true);
    setError(undefined);
    let last: Progress | null = null;
    try {
      await scan.current?.more(PAGE, own.signal, (next) => {
        last = next;
        if (!own.signal.aborted) setProgress(next);
      });
    } catch (thrown) {
      if (!own.signal.aborted) setError(thrown);
    }
    if (controller.current !== own) return; // Another search has begun.
    setLooking(false);
    if (last !== null) announce(`${countText((last as Progress).found.length, "record")} found.`);
  };
  const begin = (asked: Asked) => {
    const from = fromOf(asked);
    if (from === null) return;
    const partitions = partitionsToRead(asked, topic.partitions);
    scan.current = new Scan(topic.name, partitions, from, asked.filter);
    setProgress(null);
    void run();
  };
  return {
    progress,
    error,
    isLooking,
    begin,
    goOn: () => void run(),
    stop: () => controller.current?.abort(),
  };
}

type Look = ReturnType<typeof useLook>;

function Question(props: {
  topic: TopicInfo;
  asked: Asked;
  onChange: (asked: Asked) => void;
  begin: () => void;
  follow: () => void;
}) {
  const { topic, asked, onChange, begin, follow } = props;
  const { filter, type, partition } = asked;
  const set = (change: Partial<Asked>) => onChange({ ...asked, ...change });
  const setFilter = (change: Partial<Filter>) => set({ filter: { ...filter, ...change } });
  const numbers = Array.from({ length: topic.partitions }, (_, i) => String(i));
  return (
    <form
      class="question"
      onSubmit={(event) => {
        event.preventDefault();
        begin();
      }}
    >
      <div class="row top">
        <Choice
          label="From"
          value={type}
          options={FROMS}
          onChoose={(chosen) => set({ type: chosen, place: "" })}
        />
        {type === "offset" && (
          <Field
            label="Offset"
            value={asked.place}
            onInput={(place) => set({ place })}
            isRequired
            isNarrow
          />
        )}
        {type === "time" && (
          <Field
            label="Time"
            type="datetime-local"
            value={asked.place}
            onInput={(place) => set({ place })}
            isRequired
            isNarrow
          />
        )}
        <Choice
          label="Partition"
          value={partition}
          options={[[EVERY, "all"], ...numbers.map((each) => [each, each] as const)]}
          onChoose={(chosen) => set({ partition: chosen })}
        />
      </div>
      <details>
        <summary>Filter the records</summary>
        <div class="row top">
          <Field
            label="Key"
            value={filter.key}
            onInput={(key) => setFilter({ key })}
            isNarrow
            hint={
              filter.key !== "" && partition === EVERY && !asked.isEverywhere
                ? `Only partition ${partitionOfKey(filter.key, topic.partitions)} is searched, where Kafka's clients put it.`
                : "The whole key."
            }
          />
          <Field
            label="Header"
            value={filter.headerName}
            onInput={(headerName) => setFilter({ headerName })}
            isNarrow
          />
          <Field
            label="Header value"
            value={filter.headerValue}
            onInput={(headerValue) => setFilter({ headerValue })}
            isNarrow
            hint="Any value if empty."
          />
          <Field
            label="Text"
            value={filter.text}
            onInput={(text) => setFilter({ text })}
            isNarrow
            hint="In key, value or headers."
          />
        </div>
        {filter.key !== "" && partition === EVERY && topic.partitions > 1 && (
          <Checkbox
            label="Search all partitions for the key: the topic once had fewer, or its producers choose partitions themselves"
            isChecked={asked.isEverywhere}
            onChange={(isEverywhere) => set({ isEverywhere })}
          />
        )}
      </details>
      <div class="buttons">
        <button type="submit" class="primary" disabled={fromOf(asked) === null}>
          Read
        </button>
        <button type="button" onClick={follow}>
          Follow
        </button>
      </div>
    </form>
  );
}

function Answer({ topic, look }: { topic: TopicInfo; look: Look }) {
  const { progress, error, isLooking, goOn, stop } = look;
  return (
    <section aria-label="Records">
      {error !== undefined && <ErrorNote error={error} retry={goOn} />}
      {progress !== null && (
        <div class="row">
          <span>
            {countText(progress.found.length, "record")}, {numberText(progress.looked)} of{" "}
            {countText(progress.total, "offset")} searched
            {progress.isDone ? ": all." : isLooking ? "…" : "."}
          </span>
          <progress
            aria-label="Searched"
            max={Math.max(1, progress.total)}
            value={progress.isDone ? Math.max(1, progress.total) : progress.looked}
          />
          {isLooking ? (
            <button type="button" onClick={stop}>
              Stop
            </button>
          ) : (
            !progress.isDone && (
              <button type="button" onClick={goOn}>
                Find {PAGE} more
              </button>
            )
          )}
        </div>
      )}
      {progress === null && error === undefined && <p class="busy">Reading…</p>}
      {progress !== null && progress.found.length === 0 && !isLooking && error === undefined && (
        <Empty>
          {progress.total === 0 ? "There are no records here." : "No record matches so far."}
        </Empty>
      )}
      {progress !== null && progress.found.length > 0 && (
        <RecordTable topic={topic.name} records={progress.found} />
      )}
    </section>
  );
}
