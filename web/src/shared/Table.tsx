import type { ReactNode } from "react";

interface TableProps {
  readonly label?: string;
  readonly heads: readonly string[];
  /** How many columns at the start are words; the others are numbers, set to the right. */
  readonly texts: number;
  readonly children: ReactNode;
}

export function Table({ label, heads, texts, children }: TableProps) {
  return (
    <div className="table-box">
      <table aria-label={label}>
        <thead>
          <tr>
            {heads.map((head, index) => (
              <th key={index} scope="col" className={index < texts ? "text" : ""}>
                {head}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  );
}
