// Makes a file in the page and offers it as a download.
import { announce } from "../announce.ts";
import { type Cell, csvOf } from "../csv.ts";

const CSV = "text/csv; charset=utf-8";

export function DownloadButton(props: {
  label: string;
  name: string;
  type: string;
  text: () => string;
}) {
  const { label, name, type, text } = props;
  return (
    <button
      type="button"
      onClick={() => {
        save(name, new Blob([text()], { type }));
        announce(`${name} was created.`);
      }}
    >
      {label}
    </button>
  );
}

/** Makes a file from a table. */
export function CsvButton(props: {
  name: string;
  head: readonly string[];
  rows: () => readonly (readonly Cell[])[];
}) {
  const { name, head, rows } = props;
  return (
    <DownloadButton
      label="Download as CSV"
      name={name}
      type={CSV}
      text={() => csvOf(head, rows())}
    />
  );
}

/** By then the browser has long taken the file. */
const KEPT_MS = 60_000;

function save(name: string, blob: Blob): void {
  const url = URL.createObjectURL(blob);
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), KEPT_MS);
}
