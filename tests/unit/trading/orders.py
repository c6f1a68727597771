"""Orders for the room's tests."""

from datetime import UTC, datetime

from agio.kernel.ids import AccountId, OrderId, OrganisationId
from agio.trading.model import Order

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
ORDER_ID = OrderId("ord_06d8xk2m7v1c9tb3fh0a")


def make_order(**changes: object) -> Order:
    """A limit order to buy 10 ES at 1640.25, changed as asked."""
    fields: dict[str, object] = {
        "order_id": ORDER_ID,
        "organisation_id": OrganisationId("org_00000000000000000001"),
        "environment": "sandbox",
        "account_id": AccountId("acc_00000000000000000001"),
        "client_order_id": "mine-1",
        "symbol": "ES",
        "venue": "TAPE",
        "base_asset": "ES",
        "quote_asset": "USD",
        "price_scale": 2,
        "quantity_scale": 0,
        "quote_scale": 2,
        "fee_basis_points": 5,
        "side": "buy",
        "type": "limit",
        "time_in_force": "day",
        "quantity": 10,
        "limit_price": 164025,
        "protection_price": 164025,
        "created_at": NOW,
        "updated_at": NOW,
    }
    return Order(**(fields | changes))  # type: ignore[arg-type]
