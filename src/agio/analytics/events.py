"""What analytics tells on the bus: core NATS, best effort; every value is complete in itself."""

from typing import Final

import msgspec

PORTFOLIO_CREATED_SUBJECT: Final = "an.portfolio_created"


def positions_subject(portfolio_id: str) -> str:
    return f"an.positions.{portfolio_id}"


def analytics_subject(portfolio_id: str) -> str:
    return f"an.analytics.{portfolio_id}"


class StateItem(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The newest value of one key, as JSON text."""

    key: str
    body: bytes


class StateMessage(msgspec.Struct, frozen=True, array_like=True):
    """Changed values of one portfolio. `q` grows with every message, across restarts too."""

    portfolio_id: str
    q: int
    told_us: int
    items: list[StateItem]


encode_state: Final = msgspec.msgpack.Encoder().encode
decode_state: Final = msgspec.msgpack.Decoder(StateMessage).decode
