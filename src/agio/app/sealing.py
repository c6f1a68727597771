"""Which columns the rooms seal, and the sealing of what an earlier version stored in plain text."""

import asyncio
from typing import Final

from agio.platform.config import Settings
from agio.platform.master_keys import open_master_keys
from agio.platform.rekeying import SealedColumn, seal_columns, unsealed_columns

SEALED: Final = (
    SealedColumn("identity", "organisation", "name", "organisation_id", "name_is_sealed"),
    SealedColumn("identity", "api_key", "name", "key_id", "name_is_sealed"),
    SealedColumn("custody", "account", "name", "account_id", "name_is_sealed"),
    SealedColumn("custody", "transfer", "reference", "transfer_id", "reference_is_sealed"),
    SealedColumn("analytics", "portfolio", "name", "portfolio_id", "name_is_sealed"),
)
"""Columns that held plain text before there was a vault; younger ones were sealed from their beginning."""


def seal_plain_text(settings: Settings) -> int:
    """Seal what is left in plain text; returns how many values. Asks for the master key only then."""
    columns = unsealed_columns(settings.owner_database_url, SEALED)
    if not columns:
        return 0
    masters = open_master_keys(settings)
    return asyncio.run(seal_columns(settings.owner_database_url, masters, columns))
