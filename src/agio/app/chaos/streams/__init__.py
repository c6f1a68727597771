"""The continuity run: a crowd of subscribers, faults all around them, and a proof of what each one got."""
