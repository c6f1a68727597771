"""The shapes of the blocks of an analytics answer; a metric that was not asked for is absent."""

import msgspec
from msgspec import UNSET, UnsetType

from agio.analytics.model.drawdowns import DrawdownRow
from agio.analytics.model.metric import Metric
from agio.analytics.model.returns import MonthReturn
from agio.analytics.model.tail import TailMethod

Maybe = Metric | UnsetType


class ReturnsBlock(msgspec.Struct, frozen=True, kw_only=True):
    twr: Maybe = UNSET
    twr_annualised: Maybe = UNSET
    xirr: Maybe = UNSET
    xirr_period: Maybe = UNSET
    modified_dietz: Maybe = UNSET
    monthly: list[MonthReturn] | UnsetType = UNSET


class RiskBlock(msgspec.Struct, frozen=True, kw_only=True):
    mean_return: Maybe = UNSET
    volatility: Maybe = UNSET
    downside_deviation: Maybe = UNSET
    sharpe: Maybe = UNSET
    sortino: Maybe = UNSET
    max_drawdown: Maybe = UNSET
    calmar: Maybe = UNSET
    skewness: Maybe = UNSET
    excess_kurtosis: Maybe = UNSET
    best_period: Maybe = UNSET
    worst_period: Maybe = UNSET
    positive_share: Maybe = UNSET


class TailMetric(Metric, frozen=True, kw_only=True, rename={"return_": "return"}):
    """A loss: `value` is positive, `return` the (negative) return it stands for."""

    return_: float | None = None


class TailBlock(msgspec.Struct, frozen=True, kw_only=True):
    method: TailMethod
    confidence: float
    horizon: int
    """Periods of the frequency."""
    var: TailMetric | UnsetType = UNSET
    cvar: TailMetric | UnsetType = UNSET
    warnings: tuple[str, ...] = ()


class Holding(msgspec.Struct, frozen=True):
    """A position at the end of the window: its value in units of the base currency, None without a price."""

    symbol: str
    asset: str
    market_value: float | None


class HoldingWeight(msgspec.Struct, frozen=True, kw_only=True):
    symbol: str
    asset: str
    weight: Metric


class CurrencyWeight(msgspec.Struct, frozen=True):
    currency: str
    value: float | None
    null_reason: str | None = None


class ExposureBlock(msgspec.Struct, frozen=True, kw_only=True):
    cash_share: Maybe = UNSET
    gross: Maybe = UNSET
    net: Maybe = UNSET
    hhi: Maybe = UNSET
    effective_positions: Maybe = UNSET
    top_5: Maybe = UNSET
    positions: list[HoldingWeight] | UnsetType = UNSET
    currencies: list[CurrencyWeight] | UnsetType = UNSET


class Blocks(msgspec.Struct, frozen=True, kw_only=True):
    """Everything but the basis."""

    returns: ReturnsBlock
    risk: RiskBlock
    drawdowns: list[DrawdownRow]
    tail: list[TailBlock]
    exposure: ExposureBlock
