"""What may leave a vault, and with whose consent."""
