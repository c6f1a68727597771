import type { Tone } from "@/shared/format.ts";

const WIDTH = 56;
const HEIGHT = 22;

interface Props {
  readonly values: readonly number[];
  readonly tone: Tone;
}

/** The course of the last hour, as a line without axes. */
export function Sparkline({ values, tone }: Props) {
  return (
    <svg className={`spark ${tone}`} viewBox={`0 0 ${WIDTH} ${HEIGHT}`} aria-hidden="true">
      {values.length > 1 && <polyline points={pointsOf(values)} />}
    </svg>
  );
}

function pointsOf(values: readonly number[]): string {
  const low = Math.min(...values);
  const range = Math.max(...values) - low || 1;
  const step = WIDTH / (values.length - 1);
  return values
    .map((value, index) => {
      const y = HEIGHT - 2 - ((value - low) / range) * (HEIGHT - 4);
      return `${(index * step).toFixed(1)},${y.toFixed(1)}`;
    })
    .join(" ");
}
