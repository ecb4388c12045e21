/** A table of plain rows, which on a phone may be shown as cards. */

import type { ReactNode } from "react";

/** A head; `unseen` ones are spoken only, those at the `end` are of numbers. */
export type Column = readonly [head: string, at?: "end" | "unseen"];

interface Props {
  columns: readonly Column[];
  isCards?: boolean;
  /** What makes this table look otherwise. */
  look?: string;
  /** Its rows. */
  children: ReactNode;
}

export function Table({ columns, isCards = false, look = "", children }: Props) {
  return (
    <div className="table-wrap">
      <table className={`table ${isCards ? "cards-on-phone" : ""} ${look}`}>
        <thead>
          <tr>
            {columns.map(([head, at], i) => (
              <th key={i} scope="col" className={at === "end" ? "end" : undefined}>
                {at === "unseen" ? <span className="hidden-visually">{head}</span> : head}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  );
}
