"""Accounts, journals, holds, balances and the hash chain. Knows no business words."""
