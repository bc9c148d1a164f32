// A table: a caption, a head with scopes, and rows of which the first cell names the row.
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { countText, numberText } from "../format.ts";
import { Scroll } from "./scroll.tsx";

export interface Column<Row> {
  readonly title: string;
  readonly cell: (row: Row) => ComponentChildren;
  /** Numbers are right-aligned. */
  readonly isNumber?: boolean;
  /** Long text gets more room in a narrow window. */
  readonly isLong?: boolean;
}

const ROWS = 100;

/** The first column names the rows. Only a limited number of rows is drawn; more are shown on request. */
export function Table<Row>(props: {
  caption: ComponentChildren;
  /** Hides the caption where a heading above says the same. */
  isCaptionHidden?: boolean;
  columns: readonly Column<Row>[];
  rows: readonly Row[];
  keyOf: (row: Row) => string;
}) {
  const { caption, isCaptionHidden = false, columns, rows, keyOf } = props;
  const [shown, setShown] = useState(ROWS);
  const classOf = ({ isNumber = false, isLong = false }: Column<Row>) =>
    isNumber ? "number" : isLong ? "long" : "";
  return (
    <>
      <Scroll label={typeof caption === "string" ? caption : "Table"}>
        <table>
          <caption class={isCaptionHidden ? "unseen" : ""}>{caption}</caption>
          <thead>
            <tr>
              {columns.map((column) => (
                <th key={column.title} scope="col" class={classOf(column)}>
                  {column.title}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.slice(0, shown).map((row) => (
              <tr key={keyOf(row)}>
                {columns.map((column, i) =>
                  i === 0 ? (
                    <th key={column.title} scope="row" class={classOf(column)}>
                      {column.cell(row)}
                    </th>
                  ) : (
                    <td key={column.title} class={classOf(column)}>
                      {column.cell(row)}
                    </td>
                  ),
                )}
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
      {rows.length > shown && (
        <p>
          {numberText(shown)} of {countText(rows.length, "row")} are shown.{" "}
          <button type="button" onClick={() => setShown(shown + ROWS)}>
            Show {numberText(Math.min(ROWS, rows.length - shown))} more
          </button>
        </p>
      )}
    </>
  );
}
