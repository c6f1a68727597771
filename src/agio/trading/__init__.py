"""Orders from acceptance to settlement: pre-trade rules, the venue duty, executions."""
