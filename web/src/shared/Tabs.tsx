import { useId, type KeyboardEvent, type ReactNode } from "react";

export interface Tab<Name extends string> {
  readonly name: Name;
  readonly label: ReactNode;
}

interface Props<Name extends string> {
  readonly label: string;
  readonly tabs: readonly Tab<Name>[];
  readonly selected: Name;
  readonly onSelect: (name: Name) => void;
}

/** A row of tabs; arrow keys move between them. */
export function Tabs<Name extends string>({ label, tabs, selected, onSelect }: Props<Name>) {
  const id = useId();

  function move(event: KeyboardEvent) {
    const step = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (step === 0) return;
    event.preventDefault();
    const at = tabs.findIndex((tab) => tab.name === selected);
    const next = tabs[(at + step + tabs.length) % tabs.length];
    if (next === undefined) return;
    onSelect(next.name);
    document.getElementById(`${id}-${next.name}`)?.focus();
  }

  return (
    <div className="tabs" role="tablist" aria-label={label} onKeyDown={move}>
      {tabs.map((tab) => (
        <button
          key={tab.name}
          id={`${id}-${tab.name}`}
          type="button"
          role="tab"
          aria-selected={tab.name === selected}
          tabIndex={tab.name === selected ? 0 : -1}
          onClick={() => onSelect(tab.name)}
        >
          {tab.label}
        </button>
      ))}
    </div>
  );
}

interface ChoiceProps<Name extends string> extends Props<Name> {
  readonly className?: string;
}

/** One of a few values, all visible; arrow keys choose. */
export function Choice<Name extends string>({ label, tabs, selected, onSelect, className }: ChoiceProps<Name>) {
  const id = useId();
  return (
    <div className={`choice ${className ?? ""}`} role="radiogroup" aria-label={label}>
      {tabs.map((tab) => (
        <label key={tab.name} className={`choice-${tab.name}`}>
          <input type="radio" name={id} checked={tab.name === selected} onChange={() => onSelect(tab.name)} />
          <span>{tab.label}</span>
        </label>
      ))}
    </div>
  );
}
