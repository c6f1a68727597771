"""Where money may be sent: the allowlist."""
