import { decimal } from "agio-sdk";
import { useId, type KeyboardEvent } from "react";

const BIG_STEP = 10;

interface Props {
  readonly label: string;
  readonly unit: string;
  readonly value: string;
  readonly step: string;
  readonly scale: number;
  readonly fault: string | null;
  readonly isDisabled?: boolean;
  readonly placeholder?: string;
  readonly onChange: (text: string) => void;
  /** The user goes into the field. */
  readonly onEnter?: () => void;
}

/** A decimal field with steps: arrow keys move by one, Page Up and Page Down by ten. */
export function Stepper({ label, unit, value, step, scale, fault, isDisabled, placeholder, onChange, onEnter }: Props) {
  const id = useId();

  function move(steps: number) {
    const from = decimal.parse(value) ?? decimal.ZERO;
    const moved = decimal.step(from, decimal.of(step), steps);
    const atLeast = decimal.sign(moved) > 0 ? moved : decimal.of(step);
    // A value that was typed with more decimals than the step has is rounded to a whole step by `step`.
    onChange(decimal.format(decimal.rescale(atLeast, scale)));
  }

  function press(event: KeyboardEvent) {
    const steps = { ArrowUp: 1, ArrowDown: -1, PageUp: BIG_STEP, PageDown: -BIG_STEP }[event.key];
    if (steps === undefined) return;
    event.preventDefault();
    move(steps);
  }

  return (
    <div className="stepper-row">
      <label htmlFor={id}>{label}</label>
      <div className={`stepper ${fault === null ? "" : "faulty"}`}>
        <input
          id={id}
          className="field"
          inputMode="decimal"
          autoComplete="off"
          value={value}
          disabled={isDisabled}
          placeholder={placeholder}
          aria-invalid={fault !== null}
          title={fault ?? undefined}
          onChange={(event) => onChange(event.target.value.trim())}
          onKeyDown={press}
          onFocus={onEnter}
        />
        <span className="unit">{unit}</span>
        <button type="button" tabIndex={-1} disabled={isDisabled} aria-label={`Less ${label}`} onClick={() => move(-1)}>
          −
        </button>
        <button type="button" tabIndex={-1} disabled={isDisabled} aria-label={`More ${label}`} onClick={() => move(1)}>
          +
        </button>
      </div>
    </div>
  );
}
