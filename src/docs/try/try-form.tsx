// The form of one operation: its parameters, its body, the command that does the same, and the answer.
import { useRef, useState } from "preact/hooks";
import { copyText } from "../copy.ts";
import { announce } from "../elements.ts";
import { Answer } from "./answer.tsx";
import { useCredential } from "./credential.tsx";
import type { Operation, Parameter } from "./description.ts";
import { curlOf, pathOf, send, type TriedAnswer, type TriedRequest } from "./send.ts";

type Outcome =
  | { readonly state: "none" | "sending" | "asking" }
  | { readonly state: "answered"; readonly answer: TriedAnswer }
  | { readonly state: "failed"; readonly why: string };

export function TryForm(props: { method: string; path: string; operation: Operation }) {
  const { method, path, operation } = props;
  const { parameters, requestBody } = operation;
  const id = `try-${operation.operationId}`;
  const credential = useCredential();
  const [values, setValues] = useState(() => beginning(parameters));
  const types = Object.entries(requestBody?.content ?? {});
  const [contentType, { example } = {}] = types[0] ?? [""];
  const [body, setBody] = useState(example === undefined ? "" : JSON.stringify(example, null, 2));
  const [outcome, setOutcome] = useState<Outcome>({ state: "none" });
  const stop = useRef<AbortController | null>(null);

  const valuesIn = (place: Parameter["in"]) =>
    Object.fromEntries(
      parameters.filter((each) => each.in === place).map(({ name }) => [name, values[name] ?? ""]),
    );
  const request: TriedRequest = {
    ...{ method, path: pathOf(path, valuesIn("path"), valuesIn("query")), contentType },
    body: requestBody === undefined ? null : body,
  };
  const command = curlOf(location.origin, request, credential !== "");

  const sendNow = async () => {
    const mine = new AbortController();
    stop.current = mine;
    setOutcome({ state: "sending" });
    try {
      const answer = await send(request, credential, mine.signal);
      setOutcome({ state: "answered", answer });
      announce(`Answer ${answer.status} ${answer.statusText}`);
    } catch (error) {
      const why = mine.signal.aborted
        ? "It was stopped."
        : `There is no answer: ${(error as Error).message}`;
      setOutcome({ state: "failed", why });
      announce(why);
    }
  };
  const isAsking = outcome.state === "asking";
  /** Asks before a DELETE. Enter in a field submits too, so it does not answer the question. */
  const submit = () => {
    if (method !== "DELETE") void sendNow();
    else if (!isAsking) setOutcome({ state: "asking" });
  };

  return (
    <form
      class="try-form"
      aria-label={`Try ${method} ${path}`}
      onSubmit={(event) => {
        event.preventDefault();
        submit();
      }}
      onInput={() => {
        if (isAsking) setOutcome({ state: "none" });
      }}
    >
      {parameters.length > 0 && (
        <div class="fields">
          {parameters.map((each) => (
            <Field
              key={each.name}
              id={`${id}-${each.name}`}
              parameter={each}
              value={values[each.name] ?? ""}
              change={(value) => setValues({ ...values, [each.name]: value })}
            />
          ))}
        </div>
      )}
      {requestBody !== undefined && (
        <div class="field">
          <label for={`${id}-body`}>Body ({contentType})</label>
          <textarea
            id={`${id}-body`}
            rows={Math.min(16, Math.max(3, body.split("\n").length))}
            spellcheck={false}
            value={body}
            onInput={({ currentTarget }) => setBody(currentTarget.value)}
          />
        </div>
      )}
      <Command text={command} />
      {isAsking ? (
        <div class="note warning" role="alert">
          <p>
            This deletes data. Send <code>{`${method} ${request.path}`}</code>?
          </p>
          <div class="buttons">
            <button type="button" class="primary dangerous" onClick={() => void sendNow()}>
              Delete
            </button>
            <button type="button" onClick={() => setOutcome({ state: "none" })}>
              Cancel
            </button>
          </div>
        </div>
      ) : (
        <div class="buttons">
          <button type="submit" class="primary" disabled={outcome.state === "sending"}>
            Send
          </button>
          {outcome.state === "sending" && (
            <button type="button" onClick={() => stop.current?.abort()}>
              Stop
            </button>
          )}
        </div>
      )}
      {outcome.state === "sending" && <p class="muted">Waiting for the answer…</p>}
      {outcome.state === "failed" && <p class="note warning">{outcome.why}</p>}
      {outcome.state === "answered" && <Answer answer={outcome.answer} />}
    </form>
  );
}

/** The values before anybody has typed: examples of what must be given. */
function beginning(parameters: readonly Parameter[]): Record<string, string> {
  return Object.fromEntries(
    parameters.map(({ name, required, example }) => [
      name,
      required && example !== undefined ? String(example) : "",
    ]),
  );
}

interface FieldProps {
  readonly id: string;
  readonly parameter: Parameter;
  readonly value: string;
  readonly change: (value: string) => void;
}

function Field({ id, parameter, value, change }: FieldProps) {
  const { name, required, schema } = parameter;
  const byDefault =
    schema.default === undefined || schema.default === "" ? "" : String(schema.default);
  return (
    <div class="field">
      <label for={id}>
        {name} {!required && <small>optional</small>}
      </label>
      {schema.enum === undefined ? (
        <input
          id={id}
          value={value}
          required={required}
          placeholder={byDefault}
          inputMode={schema.type === "integer" ? "numeric" : "text"}
          autocomplete="off"
          spellcheck={false}
          onInput={({ currentTarget }) => change(currentTarget.value)}
        />
      ) : (
        <select id={id} value={value} onChange={({ currentTarget }) => change(currentTarget.value)}>
          <option value="">{byDefault === "" ? "–" : `${byDefault} (default)`}</option>
          {schema.enum.map((each) => (
            <option key={each} value={each}>
              {each}
            </option>
          ))}
        </select>
      )}
    </div>
  );
}

const SHOWN_MS = 2_000;

function Command({ text }: { text: string }) {
  const [label, setLabel] = useState("Copy");
  const copy = async () => {
    const isCopied = await copyText(text);
    setLabel(isCopied ? "Copied" : "Not copied");
    announce(isCopied ? "Copied." : "The browser does not let this page copy.");
    setTimeout(() => setLabel("Copy"), SHOWN_MS);
  };
  return (
    <div class="code command">
      <pre>
        <code>{text}</code>
      </pre>
      <button type="button" class="copy" aria-label="Copy the command" onClick={() => void copy()}>
        {label}
      </button>
    </div>
  );
}
