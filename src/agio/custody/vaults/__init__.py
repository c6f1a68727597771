"""Vaults and the sub-accounts in them."""
