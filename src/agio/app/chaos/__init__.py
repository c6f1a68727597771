"""Proof under stress: concurrent histories replayed against the model, and crash runs."""
