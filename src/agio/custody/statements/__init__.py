"""Statements of an account over a period: opening balance, entries, closing balance, chain head."""
