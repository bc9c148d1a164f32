// Fields and forms. A form cannot be sent again while it is being sent, and shows errors below.
import type { ComponentChildren } from "preact";
import { useId, useState } from "preact/hooks";
import { ErrorNote } from "./states.tsx";

export function Field(props: {
  label: string;
  value: string;
  onInput: (value: string) => void;
  hint?: ComponentChildren;
  /** The error of the value. */
  error?: string | undefined;
  type?: "text" | "number" | "password" | "datetime-local";
  isRequired?: boolean;
  isNarrow?: boolean;
  /** True for a field of several lines. */
  isTall?: boolean;
  min?: number;
}) {
  const { label, value, onInput, hint, error, type = "text", isRequired, isNarrow, min } = props;
  const id = useId();
  const notes = [hint === undefined ? "" : `${id}h`, error === undefined ? "" : `${id}e`];
  const described = notes.join(" ").trim();
  const shared = {
    id,
    value,
    onInput: (event: { currentTarget: { value: string } }) => onInput(event.currentTarget.value),
    required: isRequired ?? false,
    autocomplete: "off",
    spellcheck: false,
    ...(described === "" ? {} : { "aria-describedby": described }),
    ...(error === undefined ? {} : { "aria-invalid": true }),
  } as const;
  return (
    <div class={isNarrow ? "field narrow" : "field"}>
      <label for={id}>{label}</label>
      {props.isTall ? (
        <textarea rows={6} {...shared} />
      ) : (
        <input
          type={type as "text"} // Preact's types require a specific one.
          {...(min === undefined ? {} : { min })}
          {...shared}
        />
      )}
      {hint !== undefined && (
        <small id={`${id}h`} class="hint">
          {hint}
        </small>
      )}
      {error !== undefined && (
        <small id={`${id}e`} class="danger-text">
          <strong>Error:</strong> <span class="data">{error}</span>
        </small>
      )}
    </div>
  );
}

export function Choice<Value extends string>(props: {
  label: string;
  value: Value;
  options: readonly (readonly [Value, string])[];
  onChoose: (value: Value) => void;
}) {
  const { label, value, options, onChoose } = props;
  const id = useId();
  return (
    <div class="field narrow">
      <label for={id}>{label}</label>
      <select
        id={id}
        value={value}
        onChange={(event) => onChoose(event.currentTarget.value as Value)}
      >
        {options.map(([each, text]) => (
          <option key={each} value={each} selected={each === value}>
            {text}
          </option>
        ))}
      </select>
    </div>
  );
}

export function Checkbox(props: {
  label: ComponentChildren;
  isChecked: boolean;
  onChange: (isChecked: boolean) => void;
}) {
  const { label, isChecked, onChange } = props;
  return (
    <label class="check">
      <input
        type="checkbox"
        checked={isChecked}
        onChange={(event) => onChange(event.currentTarget.checked)}
      />{" "}
      {label}
    </label>
  );
}

/** Runs the action that its button names. `act` may throw. */
export function Form(props: {
  action: string;
  act: () => Promise<void>;
  isDangerous?: boolean;
  isReady?: boolean;
  onCancel?: () => void;
  children: ComponentChildren;
}) {
  const { action, act, isDangerous = false, isReady = true, onCancel, children } = props;
  const [isBusy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    if (isBusy || !isReady) return;
    setBusy(true);
    setError(undefined);
    try {
      await act();
    } catch (thrown) {
      setError(thrown);
    }
    setBusy(false);
  };
  return (
    <form onSubmit={(event) => void submit(event)}>
      {children}
      {error !== undefined && <ErrorNote error={error} />}
      <div class="buttons">
        <button
          type="submit"
          class={isDangerous ? "primary dangerous" : "primary"}
          disabled={isBusy || !isReady}
        >
          {isBusy ? "Working…" : action}
        </button>
        {onCancel !== undefined && (
          <button type="button" onClick={onCancel}>
            Cancel
          </button>
        )}
      </div>
    </form>
  );
}
