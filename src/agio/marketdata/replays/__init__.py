"""Playing recorded markets: asking for it (API), doing it (engine), from where it stopped if need be."""
