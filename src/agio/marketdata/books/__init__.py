"""Order books built from venues' messages, and what proves that they are right."""
