/** The frame of every panel, and what it shows while there is nothing to show. */

import type { ReactNode } from "react";
import type { Loading } from "./live/loading.ts";

interface PanelProps {
  readonly title: string;
  readonly area: string;
  readonly tools?: ReactNode;
  readonly children: ReactNode;
}

export function Panel({ title, area, tools, children }: PanelProps) {
  return (
    <section className={`panel ${area}`} aria-label={title}>
      <header className="panel-head">
        <h2>{title}</h2>
        {tools}
      </header>
      {children}
    </section>
  );
}

interface NoticeProps {
  readonly children: ReactNode;
  readonly tone?: "plain" | "bad";
}

/** A sentence in the middle of an otherwise empty panel. */
export function Notice({ children, tone = "plain" }: NoticeProps) {
  return (
    <div className={`notice ${tone}`} role={tone === "bad" ? "alert" : "status"}>
      {children}
    </div>
  );
}

interface ContentProps {
  readonly loading: Loading;
  readonly isEmpty: boolean;
  readonly empty: ReactNode;
  readonly children: ReactNode;
}

/** The panel's content, or why there is none. Content that is there stays, whatever happens later. */
export function Content({ loading, isEmpty, empty, children }: ContentProps) {
  if (!isEmpty) return <>{children}</>;
  if (loading.phase === "loading") return <Notice>Loading…</Notice>;
  if (loading.phase === "failed") return <Notice tone="bad">{loading.message}</Notice>;
  return <Notice>{empty}</Notice>;
}
