"""What the machine allows: limits that hold while nobody else wants its cores, and grow otherwise."""

import os


def allowed_seconds(calm_seconds: float) -> float:
    """How long something may take that takes `calm_seconds` at most on an idle machine."""
    return calm_seconds * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
