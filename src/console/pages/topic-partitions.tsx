// The partitions of a topic: the bounds of their logs, and the deletion of records.
import { useEffect, useState } from "preact/hooks";
import type { TopicInfo } from "../../core/topic-info.ts";
import { partitionPath, topicPath } from "../../protocol/paths.ts";
import { announce } from "../announce.ts";
import { get, request } from "../api.ts";
import { type Cell, fileName } from "../csv.ts";
import { countText, numberText } from "../format.ts";
import { eachOf } from "../group-summaries.ts";
import { isOffered } from "../session.ts";
import { Confirm } from "../ui/confirm.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { CsvButton } from "../ui/download-button.tsx";
import { Field, Form } from "../ui/form.tsx";
import { type Column, Table } from "../ui/table.tsx";

interface State {
  readonly logStartOffset: number;
  readonly highWatermark: number;
  readonly hasConfig: boolean;
}

const AT_ONCE = 6;
/** The number of partitions that are asked at once. Each sleeping one is woken. */
const ROWS = 100;

export function TopicPartitions({ topic, onChange }: { topic: TopicInfo; onChange: () => void }) {
  const { name, topicId, partitions } = topic;
  const [shown, setShown] = useState(Math.min(ROWS, partitions));
  const [turn, setTurn] = useState(0);
  const [states, setStates] = useState<ReadonlyMap<number, State | Error>>(new Map());
  const [emptied, setEmptied] = useState<number | null>(null);
  const [isAdding, setAdding] = useState(false);
  useEffect(() => {
    const controller = new AbortController();
    const { signal } = controller;
    const numbers = Array.from({ length: shown }, (_, i) => i);
    const ask = async (partition: number) => {
      const answer = await get<State>(`${partitionPath(name, partition)}/state`, signal).catch(
        (error: Error) => error,
      );
      signal.throwIfAborted();
      setStates((before) => new Map(before).set(partition, answer));
    };
    eachOf(numbers, AT_ONCE, ask).catch(() => {}); // It was cancelled.
    return () => controller.abort();
  }, [topicId, shown, turn]);
  const mayDelete = isOffered("DELETE", "topic", name);
  const rows = Array.from({ length: shown }, (_, i) => i);
  return (
    <>
      <div class="row">
        <h2>Partitions</h2>
        {isOffered("ALTER", "topic", name) && (
          <button type="button" onClick={() => setAdding(true)}>
            Add partitions…
          </button>
        )}
        <CsvButton
          name={fileName([name, "partitions"], "csv")}
          head={["partition", "log start", "log end", "offsets", "state"]}
          rows={() => rows.map((partition) => cellsOf(partition, states.get(partition)))}
        />
      </div>
      <Table
        caption="Partitions of the topic"
        isCaptionHidden
        columns={columnsWith(states, mayDelete ? setEmptied : null)}
        rows={rows}
        keyOf={String}
      />
      {shown < partitions && (
        <p>
          {numberText(shown)} of {countText(partitions, "partition")} are shown.{" "}
          <button type="button" onClick={() => setShown(Math.min(partitions, shown + ROWS))}>
            Show more
          </button>
        </p>
      )}
      {emptied !== null && (
        <DeleteRecords
          topic={name}
          partition={emptied}
          state={states.get(emptied)}
          onClose={() => setEmptied(null)}
          onDone={() => setTurn(turn + 1)}
        />
      )}
      {isAdding && (
        <AddPartitions topic={topic} onClose={() => setAdding(false)} onDone={onChange} />
      )}
    </>
  );
}

function cellsOf(partition: number, state: State | Error | undefined): Cell[] {
  if (state === undefined || state instanceof Error)
    return [partition, null, null, null, state?.message ?? null];
  const { logStartOffset, highWatermark } = state;
  const offsets = highWatermark - logStartOffset;
  return [partition, logStartOffset, highWatermark, offsets, configText(state)];
}

function configText({ hasConfig }: State): string {
  return hasConfig ? "has the topic's config" : "uses an older config";
}

function columnsWith(
  states: ReadonlyMap<number, State | Error>,
  onDelete: ((partition: number) => void) | null,
): Column<number>[] {
  const column = (title: string, show: (state: State) => string): Column<number> => ({
    title,
    isNumber: true,
    cell: (partition) => {
      const state = states.get(partition);
      if (state === undefined) return "…";
      return state instanceof Error ? "?" : show(state);
    },
  });
  const columns: Column<number>[] = [
    { title: "Partition", cell: (partition) => partition },
    column("Log start", ({ logStartOffset }) => numberText(logStartOffset)),
    column("Log end", ({ highWatermark }) => numberText(highWatermark)),
    column("Offsets", ({ logStartOffset, highWatermark }) =>
      numberText(highWatermark - logStartOffset),
    ),
    {
      title: "State",
      cell: (partition) => {
        const state = states.get(partition);
        if (state === undefined) return "…";
        if (state instanceof Error)
          return <strong class="danger-text data">{state.message}</strong>;
        return configText(state);
      },
    },
  ];
  if (onDelete !== null)
    columns.push({
      title: "Records",
      cell: (partition) => (
        <button type="button" class="dangerous" onClick={() => onDelete(partition)}>
          Delete<span class="unseen"> records of partition {partition}</span>…
        </button>
      ),
    });
  return columns;
}

function DeleteRecords(props: {
  topic: string;
  partition: number;
  state: State | Error | undefined;
  onClose: () => void;
  onDone: () => void;
}) {
  const { topic, partition, state, onClose, onDone } = props;
  const known = state === undefined || state instanceof Error ? null : state;
  const [before, setBefore] = useState(String(known?.highWatermark ?? ""));
  const isWhole = /^\d{1,16}$/.test(before);
  const count = known === null || !isWhole ? null : Number(before) - known.logStartOffset;
  const act = async () => {
    await request("DELETE", `${partitionPath(topic, partition)}/records?before=${before}`);
    announce(`The records of partition ${partition} before offset ${before} were deleted.`);
    onClose();
    onDone();
  };
  return (
    <Confirm
      title={`Delete records of partition ${partition}?`}
      name={topic}
      action="Delete the records"
      act={act}
      onClose={onClose}
      isReady={isWhole}
    >
      <Field
        label="Delete the records before offset"
        value={before}
        onInput={setBefore}
        isRequired
        isNarrow
        hint={
          known === null
            ? "The bounds of the log are not known."
            : `The log has offsets ${numberText(known.logStartOffset)} to ${numberText(known.highWatermark)}.`
        }
      />
      <p>
        {count === null || count < 0
          ? "The log then begins there."
          : `${countText(count, "offset")} will be deleted.`}{" "}
        This cannot be undone.
      </p>
    </Confirm>
  );
}

function AddPartitions(props: { topic: TopicInfo; onClose: () => void; onDone: () => void }) {
  const { topic, onClose, onDone } = props;
  const [count, setCount] = useState(String(topic.partitions + 1));
  const act = async () => {
    await request("PATCH", topicPath(topic.name), { body: { partitions: Number(count) } });
    announce(`The topic has ${countText(Number(count), "partition")}.`);
    onClose();
    onDone();
  };
  return (
    <Dialog title="Add partitions" onClose={onClose}>
      <Form action="Add" act={act} onCancel={onClose}>
        <Field
          label="Partitions"
          type="number"
          min={topic.partitions + 1}
          value={count}
          onInput={setCount}
          isRequired
          isNarrow
          hint="Keys then map to other partitions. The number can never be reduced."
        />
      </Form>
    </Dialog>
  );
}
