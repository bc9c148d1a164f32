// A config: each key with its value, its default, and the source of the value. Keys can be set, or reset to
// their default.
import { useState } from "preact/hooks";
import type { ConfigInfo } from "../../core/topic-info.ts";
import { announce } from "../announce.ts";
import { Dialog } from "./dialog.tsx";
import { Field, Form } from "./form.tsx";
import { type Column, Table } from "./table.tsx";

type Value = string | number;

/** A number as large as this means no bound. */
const NONE = Number.MAX_SAFE_INTEGER;

function valueText(value: Value | undefined): string {
  if (value === undefined) return "not known";
  if (value === "") return "empty";
  return value === NONE ? "none" : String(value);
}

export function ConfigTable(props: {
  caption: string;
  config: ConfigInfo;
  /** The values that apply if nothing is set here, if they are known. */
  defaults: Readonly<Record<string, Value>> | null;
  /** Describes the source of a value that is not set here. */
  sourceOf: (key: string) => string;
  /** The name for a value that is set here. */
  own: string;
  isEditable: boolean;
  onChange: (change: Readonly<Record<string, Value | null>>) => Promise<void>;
}) {
  const { caption, config, defaults, sourceOf, own, isEditable, onChange } = props;
  const [edited, setEdited] = useState<string | null>(null);
  const isOwn = (key: string) => Object.hasOwn(config.overrides, key);
  const columns: Column<[string, Value]>[] = [
    { title: "Key", cell: ([key]) => <span class="data">{key}</span> },
    { title: "Value", cell: ([, value]) => <span class="data">{valueText(value)}</span> },
    {
      title: "Default",
      cell: ([key, value]) => (
        <span class="data muted">
          {defaults === null && !isOwn(key) ? valueText(value) : valueText(defaults?.[key])}
        </span>
      ),
    },
    {
      title: "Source",
      cell: ([key]) => (isOwn(key) ? <strong>{own}</strong> : sourceOf(key)),
    },
  ];
  if (isEditable)
    columns.push({
      title: "Change",
      cell: ([key]) => (
        <button type="button" onClick={() => setEdited(key)}>
          Edit<span class="unseen"> {key}</span>
        </button>
      ),
    });
  return (
    <>
      <Table
        caption={caption}
        isCaptionHidden
        columns={columns}
        rows={Object.entries(config.config)}
        keyOf={([key]) => key}
      />
      {edited !== null && (
        <Edit
          name={edited}
          value={config.config[edited] ?? ""}
          isOwn={isOwn(edited)}
          onChange={onChange}
          onClose={() => setEdited(null)}
        />
      )}
    </>
  );
}

function Edit(props: {
  name: string;
  value: Value;
  isOwn: boolean;
  onChange: (change: Readonly<Record<string, Value | null>>) => Promise<void>;
  onClose: () => void;
}) {
  const { name, value, isOwn, onChange, onClose } = props;
  const [text, setText] = useState(String(value));
  const [isTaken, setTaken] = useState(false);
  const save = async () => {
    await onChange({ [name]: isTaken ? null : text });
    announce(isTaken ? `${name} has its default again.` : `${name} is now ${text}.`);
    onClose();
  };
  return (
    <Dialog title={`Edit ${name}`} onClose={onClose}>
      <Form action={isTaken ? "Reset" : "Save"} act={save} onCancel={onClose}>
        <Field label="Value" value={text} onInput={setText} hint="The broker checks its bounds." />
        {isOwn && (
          <label class="check">
            <input
              type="checkbox"
              checked={isTaken}
              onChange={(event) => setTaken(event.currentTarget.checked)}
            />{" "}
            Reset it to the default
          </label>
        )}
      </Form>
    </Dialog>
  );
}
