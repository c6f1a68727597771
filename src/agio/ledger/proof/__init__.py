"""Proof to outsiders: the chain checked, and the whole ledger exported for other programs."""
