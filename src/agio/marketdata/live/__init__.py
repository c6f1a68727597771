"""Live venues as markets of the engine: feeds become our instruments, trades, books and quotes."""
