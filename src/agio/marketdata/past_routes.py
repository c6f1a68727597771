"""`/api/market/{symbol}/trades|quotes|bars`: pages of JSON, or files by `Accept`."""

from typing import Annotated, Any, Final, Literal

from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import Parameter
from litestar.response import Stream

from agio.kernel.page import Page
from agio.kernel.problem import Problem
from agio.marketdata.past import MAX_FILE_BARS, BarRequest, PastService, TickRequest
from agio.marketdata.rendering import BarView
from agio.marketdata.schemas import PastQuote, TradeView
from agio.marketdata.ticks.batches import Kind
from agio.marketdata.ticks.exports import MAX_ROWS, ExportFormat, stream_file
from agio.marketdata.ticks.intervals import INTERVAL_RULE

CSV: Final = "text/csv"
PARQUET: Final = "application/vnd.apache.parquet"
JSON: Final = "application/json"
NEXT_CURSOR: Final = "Agio-Next-Cursor"
"""Header of a file that does not hold everything: `cursor` of the next one."""
_OPT: Final = {"scope": "market:read", "other_media_types": (CSV, PARQUET)}
_FORMS: Final[dict[str, Literal["json", "csv", "parquet"]]] = {
    JSON: "json",
    "application/*": "json",
    "*/*": "json",
    CSV: "csv",
    "text/*": "csv",
    PARQUET: "parquet",
}

AnyRequest = Request[Any, Any, Any]
Limit = Annotated[
    int | None,
    Parameter(
        description=f"JSON: 1 to 1,000, by default 100. Files: up to {MAX_ROWS:,}, bars {MAX_FILE_BARS:,}",
        schema_extra={"maximum": MAX_ROWS},
    ),
]
Cursor = Annotated[str | None, Parameter(description="next_cursor of the page before")]
Start = Annotated[str | None, Parameter(description="Venue time from which, RFC 3339")]
End = Annotated[str | None, Parameter(description="Venue time before which, RFC 3339")]
Zone = Annotated[
    str | None,
    Parameter(
        description="IANA name: where days begin, for bars that are longer than an hour or do not divide"
        " a day; by default that of the instrument's calendar"
    ),
]
BarWidth = Annotated[str, Parameter(description=f"How long a bar is: {INTERVAL_RULE}")]


class NotAcceptable(Problem):
    """`Accept` allows none of JSON, `text/csv` and `application/vnd.apache.parquet`."""

    status = 406
    code = "not_acceptable"
    title = "Not acceptable"


def build_past_routes(past: PastService) -> list[HTTPRouteHandler]:
    """The routes of history."""

    @get("/market/{symbol:str}/trades", opt=_OPT)
    async def list_trades(
        request: AnyRequest,
        symbol: str,
        limit: Limit = None,
        cursor: Cursor = None,
        start: Start = None,
        end: End = None,
        after_seq: int = 0,
    ) -> Response[Page[TradeView]]:
        """Durable trades of any age, ascending by sequence."""
        wanted = TickRequest(
            symbol=symbol, limit=limit, cursor=cursor, start=start, end=end, after_seq=after_seq
        )
        form = choose_form(request.headers.get("accept"))
        if form != "json":
            return await _answer_file(past, "trades", wanted, form)
        return Response(await past.list_trades(wanted), headers=_VARY)

    @get("/market/{symbol:str}/quotes", opt=_OPT)
    async def list_quotes(
        request: AnyRequest,
        symbol: str,
        limit: Limit = None,
        cursor: Cursor = None,
        start: Start = None,
        end: End = None,
        after_seq: int = 0,
    ) -> Response[Page[PastQuote]]:
        """Best bids and offers as they were told, ascending by sequence; numbers may be left out."""
        wanted = TickRequest(
            symbol=symbol, limit=limit, cursor=cursor, start=start, end=end, after_seq=after_seq
        )
        form = choose_form(request.headers.get("accept"))
        if form != "json":
            return await _answer_file(past, "quotes", wanted, form)
        return Response(await past.list_quotes(wanted), headers=_VARY)

    @get("/market/{symbol:str}/bars", opt=_OPT)
    async def list_bars(
        request: AnyRequest,
        symbol: str,
        interval: BarWidth = "1m",
        time_zone: Zone = None,
        limit: Limit = None,
        cursor: Cursor = None,
        start: Start = None,
        end: End = None,
    ) -> Response[Page[BarView]]:
        """Candles, ascending; with neither start nor cursor the newest ones, the one in progress last."""
        wanted = BarRequest(
            symbol=symbol,
            interval=interval,
            time_zone=time_zone,
            limit=limit,
            cursor=cursor,
            start=start,
            end=end,
        )
        form = choose_form(request.headers.get("accept"))
        if form != "json":
            return await _answer_bars(past, wanted, form)
        return Response(await past.list_bars(wanted), headers=_VARY)

    return [list_trades, list_quotes, list_bars]


_VARY: Final = {"Vary": "Accept"}
_MEDIA_TYPES: Final[dict[ExportFormat, str]] = {
    "csv": f"{CSV}; header=present",
    "parquet": PARQUET,
}


async def _answer_file(
    past: PastService, kind: Kind, wanted: TickRequest, form: ExportFormat
) -> Response[Any]:
    export, more = await past.export(kind, wanted, form)
    headers = _file_headers(f"{wanted.symbol}-{kind}.{form}", more)
    headers["Content-Length"] = str(export.size)
    return Stream(stream_file(export.file), media_type=_MEDIA_TYPES[form], headers=headers)


async def _answer_bars(past: PastService, wanted: BarRequest, form: ExportFormat) -> Response[Any]:
    content, more = await past.export_bars(wanted, form)
    headers = _file_headers(f"{wanted.symbol}-bars-{wanted.interval}.{form}", more)
    return Response(content, media_type=_MEDIA_TYPES[form], headers=headers)


def _file_headers(name: str, more: str | None) -> dict[str, str]:
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "private, no-store"}
    return headers | _VARY | ({NEXT_CURSOR: more} if more is not None else {})


def choose_form(accept: str | None) -> Literal["json", "csv", "parquet"]:
    """The form that `Accept` likes best (RFC 9110 12.5.1); raises NotAcceptable."""
    if accept is None or not accept.strip():
        return "json"
    liked: list[tuple[float, Literal["json", "csv", "parquet"]]] = []
    for part in accept[:1000].split(","):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        form = _FORMS.get(name)
        if form is not None and (weight := _weight(parameters)) > 0:
            liked.append((weight, form))
    if not liked:
        raise NotAcceptable(f"accept one of {JSON}, {CSV}, {PARQUET}")
    return max(liked, key=lambda one: one[0])[1]


def _weight(parameters: list[str]) -> float:
    text = next((one.removeprefix("q=") for one in parameters if one.startswith("q=")), "1")
    try:
        weight = float(text)
    except ValueError:
        return 0.0
    return weight if 0.0 <= weight <= 1.0 else 0.0
