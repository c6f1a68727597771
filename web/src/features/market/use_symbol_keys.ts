import type { Instrument } from "agio-sdk";
import { useLayoutEffect } from "react";

/**
 * `[` and `]` go to the neighbours in the list, Escape to the list itself.
 *
 * A layout effect: the keys work as soon as the page is seen, and none falls between two markets.
 */
export function useSymbolKeys(
  instruments: readonly Instrument[],
  instrument: Instrument,
  onOpen: (symbol: string | null) => void,
): void {
  useLayoutEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      const isTyping = event.target instanceof HTMLElement && event.target.matches("input, select, textarea");
      if (isTyping || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]") !== null) return;
      if (event.key === "Escape") onOpen(null);
      const step = event.key === "]" ? 1 : event.key === "[" ? -1 : 0;
      if (step === 0) return;
      const at = instruments.findIndex((one) => one.symbol === instrument.symbol);
      const next = instruments[(at + step + instruments.length) % instruments.length];
      if (next !== undefined) onOpen(next.symbol);
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, [instruments, instrument, onOpen]);
}
