"""Reconciliation: ledger, outside statement and our own records of business, and the breaks between them."""
