// The form that produces a record.
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { TopicInfo } from "../../core/topic-info.ts";
import { recordsPath, topicPath } from "../../protocol/paths.ts";
import { credential, get, ProblemError, request } from "../api.ts";
import { useLoad } from "../load.ts";
import {
  type Draft,
  draftOf,
  type HeaderDraft,
  keyPartition,
  NEW_HEADER,
  type Problems,
  partOfRefusal,
  problemsOf,
  recordOf,
} from "../produce-draft.ts";
import type { PlacedRecord } from "../record-bytes.ts";
import { produceCurlOf } from "../record-code.ts";
import { CopyButton } from "../ui/copy-button.tsx";
import { Checkbox, Choice, Field, Form } from "../ui/form.tsx";
import { Loaded } from "../ui/states.tsx";
import { type Stored, StoredLink } from "../ui/stored-link.tsx";

interface Props {
  readonly topic: string;
  /** The initial content of the form. */
  readonly record: PlacedRecord | null;
  readonly onStored: (stored: Stored) => void;
  readonly onClose: () => void;
}

export function ProduceForm(props: Props) {
  const { topic } = props;
  const loading = useLoad((aborted) => get<TopicInfo>(topicPath(topic), aborted), [topic]);
  return (
    <Loaded what="the topic" loading={loading}>
      {({ partitions }) => <Fields {...props} partitions={partitions} />}
    </Loaded>
  );
}

const KEY_FORMATS = [
  ["text", "text"],
  ["base64", "base64"],
] as const;
const VALUE_FORMATS = [
  ["text", "text"],
  ["json", "JSON"],
  ["base64", "base64"],
  ["null", "null, a tombstone"],
] as const;
const HEADER_FORMATS = [
  ["text", "text"],
  ["base64", "base64"],
  ["null", "null"],
] as const;

function Fields({ topic, record, onStored, onClose, partitions }: Props & { partitions: number }) {
  const [draft, setDraft] = useState(() => draftOf(record));
  const [problems, setProblems] = useState<Problems>({});
  const [isKept, setKept] = useState(false);
  const [stored, setStored] = useState<Stored | null>(null);
  const ref = useRef<HTMLDivElement>(null);
  const send = useSend(topic);
  useEffect(() => {
    // The form appeared after the dialog had opened.
    ref.current?.querySelector<HTMLElement>("input, textarea")?.focus();
  }, []);
  useEffect(() => {
    ref.current?.querySelector<HTMLElement>("[aria-invalid]")?.focus();
  }, [problems]);
  const set = (change: Partial<Draft>) => setDraft({ ...draft, ...change });
  const act = async () => {
    setStored(null);
    const found = problemsOf(draft, partitions);
    setProblems(found);
    if (Object.keys(found).length > 0) return;
    try {
      const place = await send(draft);
      onStored(place);
      if (isKept) setStored(place);
      else onClose();
    } catch (error) {
      const part = error instanceof ProblemError ? partOfRefusal(error.code, error.message) : null;
      if (part === null) throw error;
      setProblems({ [part]: (error as Error).message });
    }
  };
  const isReady = Object.keys(problemsOf(draft, partitions)).length === 0;
  const byKey = keyPartition(draft, partitions);
  return (
    <div ref={ref}>
      <Form action="Send" act={act} onCancel={onClose}>
        <div class="row top">
          <Field
            label="Key"
            value={draft.key.text}
            onInput={(text) => set({ key: { ...draft.key, text } })}
            error={problems.key}
            hint={
              draft.key.format === "text"
                ? "The record has no key if this is empty."
                : "The key is empty if this is."
            }
            isNarrow
          />
          <Choice
            label="Format of the key"
            value={draft.key.format as "text" | "base64"}
            options={KEY_FORMATS}
            onChoose={(format) => set({ key: { ...draft.key, format } })}
          />
        </div>
        <Choice
          label="Format of the value"
          value={draft.value.format}
          options={VALUE_FORMATS}
          onChoose={(format) => set({ value: { ...draft.value, format } })}
        />
        {draft.value.format !== "null" && (
          <Field
            label="Value"
            value={draft.value.text}
            onInput={(text) => set({ value: { ...draft.value, text } })}
            error={problems.value}
            isTall
          />
        )}
        <Headers
          headers={draft.headers}
          problems={problems}
          onChange={(headers) => set({ headers })}
        />
        <div class="row top">
          <Choice
            label="Partition"
            value={draft.partition === null ? "key" : "number"}
            options={[
              ["key", "by the key"],
              ["number", "a number"],
            ]}
            onChoose={(chosen) => set({ partition: chosen === "key" ? null : String(byKey ?? 0) })}
          />
          {draft.partition === null ? (
            <p class="muted">
              {byKey === null
                ? "Without a key, the broker chooses."
                : `Partition ${byKey}, where Kafka's clients send it.`}
            </p>
          ) : (
            <Field
              label="Number of the partition"
              value={draft.partition}
              onInput={(partition) => set({ partition })}
              error={problems.partition}
              isNarrow
            />
          )}
        </div>
        <div class="row">
          <Checkbox
            label="Keep the form open to send again"
            isChecked={isKept}
            onChange={setKept}
          />
          {isReady && (
            <CopyButton
              label="Copy as curl"
              text={() =>
                produceCurlOf(location.origin, topic, recordOf(draft), credential.value !== null)
              }
            />
          )}
        </div>
        <div role="status">{stored !== null && <StoredLink topic={topic} stored={stored} />}</div>
      </Form>
    </div>
  );
}

/**
 * Returns a function that sends a draft. If no answer comes and the same draft is sent again, it is stored
 * once, because it has the same key until an answer comes.
 */
function useSend(topic: string): (draft: Draft) => Promise<Stored> {
  const unanswered = useRef({ body: "", idempotencyKey: "" });
  return async (draft) => {
    const record = recordOf(draft);
    const body = JSON.stringify(record);
    if (unanswered.current.body !== body)
      unanswered.current = {
        body,
        idempotencyKey: crypto.getRandomValues(new Uint32Array(4)).join("-"),
      };
    const { idempotencyKey } = unanswered.current;
    const { results } = await request<{ results: Stored[] }>("POST", recordsPath(topic), {
      body: { records: [record] },
      idempotencyKey,
    });
    unanswered.current = { body: "", idempotencyKey: "" };
    const [place] = results;
    if (place === undefined) throw new Error("The broker did not return the record's place.");
    return place;
  };
}

function Headers(props: {
  headers: readonly HeaderDraft[];
  problems: Problems;
  onChange: (headers: readonly HeaderDraft[]) => void;
}) {
  const { headers, problems, onChange } = props;
  const ref = useRef<HTMLFieldSetElement>(null);
  const change = (at: number, changed: Partial<HeaderDraft>) =>
    onChange(headers.map((header, i) => (i === at ? { ...header, ...changed } : header)));
  const hasAdded = useRef(false);
  useLayoutEffect(() => {
    if (!hasAdded.current) return;
    hasAdded.current = false;
    ref.current?.querySelector<HTMLElement>(".choice:last-of-type input")?.focus();
  }, [headers.length]);
  const add = () => {
    hasAdded.current = true;
    onChange([...headers, NEW_HEADER]);
  };
  const remove = (at: number) => {
    onChange(headers.filter((_, i) => i !== at));
    // The focused element is gone.
    ref.current?.querySelector<HTMLElement>("button.add")?.focus();
  };
  return (
    <fieldset ref={ref}>
      <legend>Headers</legend>
      {problems.headers !== undefined && (
        <p class="danger-text" role="alert">
          <strong>Error:</strong> <span class="data">{problems.headers}</span>
        </p>
      )}
      {headers.map((header, i) => (
        <div key={i} class="choice row top">
          <Field
            label={`Header ${i + 1}`}
            value={header.name}
            onInput={(name) => change(i, { name })}
            isNarrow
          />
          <Choice
            label={`Format of header ${i + 1}`}
            value={header.value.format as "text" | "base64" | "null"}
            options={HEADER_FORMATS}
            onChoose={(format) => change(i, { value: { ...header.value, format } })}
          />
          {header.value.format !== "null" && (
            <Field
              label={`Value of header ${i + 1}`}
              value={header.value.text}
              onInput={(text) => change(i, { value: { ...header.value, text } })}
              error={problems[`header ${i}`]}
              isNarrow
            />
          )}
          <button type="button" onClick={() => remove(i)}>
            Remove<span class="unseen"> header {i + 1}</span>
          </button>
        </div>
      ))}
      <button type="button" class="add" onClick={add}>
        Add a header
      </button>
    </fieldset>
  );
}
