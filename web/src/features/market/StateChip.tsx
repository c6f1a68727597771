import { words } from "@/shared/format.ts";

interface Props {
  readonly name: string;
  /** Null when it is not known. */
  readonly state: string | null;
}

/** A source and whether its data are fresh: in words for whoever does not see the colour. */
export function StateChip({ name, state }: Props) {
  return (
    <span className={`chip small state-${state ?? "closed"}`} title={`${name}: ${state === null ? "state unknown" : state}`}>
      <i /> {name} <b>{state === null ? "" : words(state)}</b>
    </span>
  );
}
