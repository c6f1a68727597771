"""Writes `docs/reference/metrics.md` from the catalogue: `python -m agio.analytics.reference FILE`."""

import sys
from pathlib import Path

from agio.analytics.model.metric import NULL_REASONS
from agio.analytics.model.query import PARAMETERS
from agio.analytics.model.registry import BLOCKS, CONVENTION_SET, METRICS

_INTRODUCTION = f"""# Metrics

Written by `python -m agio.analytics.reference docs/reference/metrics.md`; a test compares.
Convention set `{CONVENTION_SET}`: it is named in every answer and changes when a convention below does.

Every metric is `{{"value", "unit", "convention", "n", "null_reason"}}`. `explain=true` adds `explain`:
`{{"formula", "source", "inputs"}}`. In the formulas r_i is the simple return of period i, n the number of
observations, f the periods per year (365 for days, as every calendar day is valued; 365 x 24, 365 x 1440 and
365 x 86400 for hours, minutes and seconds; `periods_per_year` overrides it), W the compounded wealth, V the
value, F the external flows, MV a market value, m and s mean and population deviation over the horizon, z the
normal quantile at 1 - confidence c, S and K skewness and excess kurtosis, phi the normal density.

Parameters of `GET /api/portfolios/{{portfolio_id}}/analytics`: `{"`, `".join(PARAMETERS)}`.

## Where the numbers come from

- Positions and cash are ledger balances; entries strictly before a boundary count at it.
- External flows are the journals of custody; those between accounts of one portfolio cancel out.
- A price is the last trade *received* at or before the instant that is valued. Venue time may lie elsewhere
  (a replayed tape); `basis.prices` shows both. The engine keeps one price a second for two days and one a
  minute from then on.
- `as_of` is the newest fact (ledger entry or price) unless given, so an answer depends on facts, never on
  the clock: the same `ETag`, the same bytes.
- Average cost leaves fees out; every fee counts against the realised profit when it is paid. Net flows +
  realised + unrealised profit = equity.
- `fees=gross` adds the fees of a period back to its closing value.
- A period without capital or without a price has no return. It is counted in `basis.missing` with its
  reason, and the chain links what was observed.
"""

_HEAD = "| metric | unit | formula | convention | source |\n|---|---|---|---|---|\n"
_DRAWDOWNS = """
## drawdowns

The deepest falls of compounded wealth below its running peak, `drawdowns=N` of them: `start` (the peak; the
initial capital is one), `trough`, `recovery` (null while it goes on), `depth` (negative), and the periods to
trough and recovery.
"""


def render_metrics() -> str:
    """The reference page as Markdown."""
    parts = [_INTRODUCTION]
    for block in BLOCKS:
        rows = [definition for definition in METRICS.values() if definition.block == block]
        if not rows:
            continue
        parts.append(f"\n## {block}\n\n{_HEAD}")
        parts.extend(
            f"| `{row.name}` | {row.unit} | `{_cell(row.formula)}` | {_cell(row.convention)} |"
            f" {row.source} |\n"
            for row in rows
        )
        if block == "risk":
            parts.append(_DRAWDOWNS)
    parts.append("\n## Reasons of a null\n\n| `null_reason` | meaning |\n|---|---|\n")
    parts.extend(f"| `{code}` | {meaning} |\n" for code, meaning in NULL_REASONS.items())
    return "".join(parts)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(render_metrics(), encoding="utf-8")
