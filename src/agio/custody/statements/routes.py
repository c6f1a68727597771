"""`/api/accounts/{account_id}/statements`."""

import asyncio
from typing import Annotated, Any, Final, NamedTuple

from litestar import Response, Router, get
from litestar.params import Parameter
from litestar.response import Stream

from agio.custody.statements.model import Period, Statement, StatementFormat, parse_period
from agio.custody.statements.schemas import StatementView
from agio.custody.statements.service import StatementService
from agio.identity.api import Principal
from agio.kernel.ids import AccountId
from agio.kernel.page import DEFAULT_LIMIT

From = Annotated[str, Parameter(query="from", description="UTC date (that day included) or RFC 3339 instant")]
To = Annotated[
    str,
    Parameter(query="to", description="UTC date (that day included) or RFC 3339 instant (itself excluded)"),
]
CSV: Final = "text/csv"
PDF: Final = "application/pdf"
OTHER_FORMS: Final = (CSV, PDF)


def build_router(statements: StatementService) -> Router:
    """The folder's routes."""

    @get(
        "/accounts/{account_id:str}/statements",
        opt={"scope": "accounts:read", "other_media_types": OTHER_FORMS},
    )
    async def show_statement(
        principal: Principal,
        account_id: str,
        start: From,
        end: To,
        asset: str | None = None,
        format: StatementFormat = "json",  # noqa: A002 - the parameter's name on the wire
        limit: int = DEFAULT_LIMIT,
        cursor: str | None = None,
    ) -> Response[StatementView]:
        """Opening balance, entries, closing balance and chain head of a period, per asset.

        `format=json` pages through the entries by `limit` and `cursor`; `csv` streams all of them; `pdf` is
        for people and has at most 2,000 entries.
        """
        wanted = Wanted(AccountId(account_id), parse_period(start, end), asset, format, limit, cursor)
        return await answer(statements, principal, wanted)

    return Router("/api", route_handlers=[show_statement], tags=["Statements"])


class Wanted(NamedTuple):
    """Which statement, in which form."""

    account: AccountId
    period: Period
    asset: str | None
    format: StatementFormat
    limit: int
    cursor: str | None


async def answer(statements: StatementService, principal: Principal, wanted: Wanted) -> Response[Any]:
    """The statement in the form that is wanted."""
    account, period, asset = wanted.account, wanted.period, wanted.asset
    if wanted.format == "csv":
        lines = await statements.lines(principal, account, period, asset)
        return Stream(lines, media_type=f"{CSV}; header=present", headers=_attachment(account, period, "csv"))
    if wanted.format == "pdf":
        statement = await statements.document(principal, account, period, asset)
        content = await asyncio.to_thread(_render, statement)
        return Response(content, media_type=PDF, headers=_attachment(account, period, "pdf"))
    page = await statements.page(principal, account, period, asset, wanted.limit, wanted.cursor)
    return Response(StatementView.of(page))


def _render(statement: Statement) -> bytes:
    # The library is big, and most nodes never draw a document.
    from agio.custody.statements.document import render_pdf  # noqa: PLC0415

    return render_pdf(statement)


def _attachment(account_id: AccountId, period: Period, ending: str) -> dict[str, str]:
    name = f"statement-{account_id}-{period.start:%Y%m%d}-{period.end:%Y%m%d}.{ending}"
    return {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "private, no-store"}
