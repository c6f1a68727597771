"""Facts that trading publishes on its log channels, and the subject of its nudge."""

from agio.kernel.ids import AccountId

NUDGE_VENUE = "nudge.venue"
"""Core NATS, empty payload, best effort: commands are waiting for a venue."""

ORDER_ACCEPTED = "order_accepted"
ORDER_UPDATED = "order_updated"
ORDER_FILLED = "order_filled"


def orders_channel(account_id: AccountId) -> str:
    """Log channel whose bodies are orders as REST shows them."""
    return f"orders:{account_id}"


def fills_channel(account_id: AccountId) -> str:
    """Log channel whose bodies are executions as REST shows them."""
    return f"fills:{account_id}"
