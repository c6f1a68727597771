"""Health, readiness, metrics and the inventory of what the service offers."""
