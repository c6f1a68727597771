import { useState } from "react";

/** An identifier in full, that a click copies. */
export function CopyId({ id, label, shown }: { readonly id: string; readonly label: string; readonly shown?: string }) {
  const [isCopied, setIsCopied] = useState(false);

  async function copy() {
    await navigator.clipboard?.writeText(id);
    setIsCopied(true);
    setTimeout(() => setIsCopied(false), 1200);
  }

  return (
    <button type="button" className="copy-id" title={`${id}: copy`} aria-label={`Copy ${label} ${id}`} onClick={() => void copy()}>
      <code>{shown ?? id}</code>
      <span aria-live="polite">{isCopied ? "copied" : ""}</span>
    </button>
  );
}
