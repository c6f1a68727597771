"""Duties of the engine: one runner per venue, each under a lease of its own."""

from agio.trading.jobs.closed import ClosedVenueRunner
from agio.trading.jobs.simulator import SIMULATOR_DUTY, SimulatorRunner
from agio.trading.jobs.tape import TAPE_DUTY, TapeRunner

__all__ = ["SIMULATOR_DUTY", "TAPE_DUTY", "ClosedVenueRunner", "SimulatorRunner", "TapeRunner"]
