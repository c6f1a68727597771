"""Stops: a vault, an account, a key, the whole house."""
