import type { Agio, BarSpan, FileFormat, History, TickSpan } from "agio-sdk";
import { useRef } from "react";
import { Refusal } from "@/shared/Form.tsx";
import { saveFile } from "@/shared/save_file.ts";
import { useAction } from "@/shared/use_action.ts";

const FORMATS = [
  { name: "csv", label: "CSV" },
  { name: "parquet", label: "Parquet" },
] as const;

/** By what the shown rows are asked for as a file, and what they are in words. */
export interface ExportRequest {
  readonly history: History;
  readonly symbol: string;
  readonly span: (TickSpan | BarSpan) & { readonly interval?: string };
  readonly words: string;
}

interface Props {
  readonly agio: Agio;
  /** Null while there is nothing to export. */
  readonly request: ExportRequest | null;
}

/** What is shown, as a file. */
export function ExportMenu({ agio, request }: Props) {
  const menu = useRef<HTMLDetailsElement>(null);
  const action = useAction();

  const close = () => {
    if (menu.current !== null) menu.current.open = false;
  };
  const save = (format: FileFormat) =>
    void action.run(async () => {
      if (request === null) return;
      await saveFile(await agio.market.file(request.history, request.symbol, format, request.span));
      close();
    });

  return (
    <details
      ref={menu}
      className="export"
      onKeyDown={(event) => {
        if (event.key !== "Escape" || menu.current?.open !== true) return;
        event.nativeEvent.stopImmediatePropagation();
        close();
      }}
    >
      <summary className="quiet">Export</summary>
      <div className="export-menu">
        <p className="muted">{request === null ? "Nothing to export yet." : request.words}</p>
        <div className="buttons">
          {FORMATS.map(({ name, label }) => (
            <button
              key={name}
              type="button"
              className="quiet"
              disabled={request === null || action.isBusy}
              onClick={() => save(name)}
            >
              {label}
            </button>
          ))}
        </div>
        {request !== null && <code className="call">{callText(request)}</code>}
        <Refusal action={action} />
      </div>
    </details>
  );
}

function callText({ history, symbol, span }: ExportRequest): string {
  const pairs = Object.entries(span).map(([name, value]) => `${name}=${String(value)}`);
  return `GET /api/market/${symbol}/${history}?${pairs.join("&")}`;
}
