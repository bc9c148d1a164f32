// The records of a topic as they arrive. Nothing is read while it is paused, or while the page is hidden.
import { useEffect, useRef, useState } from "preact/hooks";
import { announce } from "../announce.ts";
import { countText, numberText } from "../format.ts";
import type { Filter } from "../record-scan.ts";
import { follow, type TailPlace } from "../tail.ts";
import { MAX_ROWS, TailRows } from "../tail-rows.ts";
import { RecordTable } from "../ui/record-table.tsx";
import { Empty, ErrorNote } from "../ui/states.tsx";

/** Rows that arrive within this time are shown together. Users who prefer reduced motion get larger steps. */
const GATHER_MS = matchMedia("(prefers-reduced-motion: reduce)").matches ? 1_000 : 250;

interface Props {
  readonly topic: string;
  /** The only partition that is read, or null for all. */
  readonly partition: number | null;
  readonly filter: Filter;
  readonly onStop: () => void;
}

export function TopicTail({ topic, partition, filter, onStop }: Props) {
  const [isPaused, setPaused] = useState(false);
  const { rows, isOpen, error } = useTail(
    { origin: location.origin, topic, partition, filter },
    isPaused,
    setPaused,
  );
  const { records, passed } = rows;
  const state = isPaused ? "Paused." : isOpen ? "Following." : "Connecting…";
  return (
    <section aria-label="Newest records">
      {error !== undefined && <ErrorNote error={error} />}
      <div class="row">
        <button
          type="button"
          aria-pressed={isPaused}
          onClick={() => {
            setPaused(!isPaused);
            announce(isPaused ? "Following." : "Paused.");
          }}
        >
          {isPaused ? "Resume" : "Pause"}
        </button>
        <button type="button" onClick={onStop}>
          Stop following
        </button>
        <span>
          {state} {countText(records.length, "record")}, newest first; {numberText(passed)} skipped.
        </span>
      </div>
      <p class="muted">
        The newest {numberText(MAX_ROWS)} are shown. Records that arrive while this is paused, or
        while the page is hidden, are skipped. Opening a record pauses.
      </p>
      {records.length === 0 ? (
        <Empty>No record has arrived yet.</Empty>
      ) : (
        <RecordTable topic={topic} records={records} onOpen={() => setPaused(true)} />
      )}
    </section>
  );
}

function useTail(place: TailPlace, isPaused: boolean, setPaused: (isPaused: boolean) => void) {
  const kept = useRef<TailRows | null>(null);
  kept.current ??= new TailRows(place.filter);
  const rows = kept.current;
  const [isOpen, setOpen] = useState(false);
  const [, setTurn] = useState(0);
  const [error, setError] = useState<unknown>();
  const isHidden = useHidden();
  useEffect(() => {
    if (isPaused || isHidden) return;
    setError(undefined);
    let timer: ReturnType<typeof setTimeout> | null = null;
    const show = () => {
      timer = null;
      setTurn((turn) => turn + 1);
    };
    const stop = follow(place, rows, {
      onChange: (isOpenNow) => {
        setOpen(isOpenNow);
        timer ??= setTimeout(show, GATHER_MS);
      },
      onProblem: setError,
      onEnd: (reason) => {
        setError(reason);
        setPaused(true);
      },
    });
    return () => {
      stop();
      if (timer !== null) clearTimeout(timer);
      setOpen(false);
      setTurn((turn) => turn + 1);
    };
  }, [isPaused, isHidden]);
  return { rows, isOpen, error };
}

function useHidden(): boolean {
  const [isHidden, setHidden] = useState(document.hidden);
  useEffect(() => {
    const note = () => setHidden(document.hidden);
    document.addEventListener("visibilitychange", note);
    return () => document.removeEventListener("visibilitychange", note);
  }, []);
  return isHidden;
}
