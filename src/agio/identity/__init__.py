"""Who calls, on behalf of which organisation and environment, and what the caller may do."""
