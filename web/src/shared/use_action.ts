import { useState } from "react";
import { explain } from "./live/loading.ts";

export interface Action {
  readonly isBusy: boolean;
  /** What the server said against it, in its words. */
  readonly refusal: string | null;
  readonly run: (work: () => Promise<void>) => Promise<void>;
  readonly clear: () => void;
}

/** Something that a button does: once at a time, with its refusal. */
export function useAction(): Action {
  const [isBusy, setIsBusy] = useState(false);
  const [refusal, setRefusal] = useState<string | null>(null);

  async function run(work: () => Promise<void>) {
    if (isBusy) return;
    setIsBusy(true);
    setRefusal(null);
    try {
      await work();
    } catch (error) {
      setRefusal(explain(error));
    } finally {
      setIsBusy(false);
    }
  }

  return { isBusy, refusal, run, clear: () => setRefusal(null) };
}
