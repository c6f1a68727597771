from datetime import UTC, datetime, timedelta

from agio.identity.attempts import FailedAttempts
from agio.identity.model import read_address
from agio.identity.settings import IdentitySettings
from agio.platform.clock import VirtualClock

SETTINGS = IdentitySettings(failures_allowed=3, failure_seconds=2.0, tracked_addresses=2)
HERE, THERE = read_address("192.0.2.1"), read_address("192.0.2.2")


def make_attempts() -> tuple[FailedAttempts, VirtualClock]:
    clock = VirtualClock(datetime(2026, 1, 1, tzinfo=UTC))
    return FailedAttempts(clock, SETTINGS), clock


class TestFailedAttempts:
    def test_a_burst_is_free_and_the_next_failure_must_wait(self) -> None:
        attempts, _ = make_attempts()
        for _ in range(3):
            attempts.record(HERE)
        assert attempts.wait_seconds(HERE) == 0

        attempts.record(HERE)

        assert attempts.wait_seconds(HERE) == 2
        assert attempts.wait_seconds(THERE) == 0

    def test_a_flood_does_not_push_the_end_of_the_wait_away(self) -> None:
        attempts, clock = make_attempts()
        for _ in range(1000):
            attempts.record(HERE)

        clock.advance(timedelta(seconds=2))

        assert attempts.wait_seconds(HERE) == 0

    def test_addresses_of_one_ipv6_site_count_together(self) -> None:
        attempts, _ = make_attempts()
        for host in range(4):
            attempts.record(read_address(f"2001:db8::{host + 1}"))

        assert attempts.wait_seconds(read_address("2001:db8::ffff")) == 2
        assert attempts.wait_seconds(read_address("2001:db8:0:1::1")) == 0

    def test_only_so_many_addresses_are_remembered(self) -> None:
        attempts, _ = make_attempts()
        for _ in range(4):
            attempts.record(HERE)
        attempts.record(THERE)

        attempts.record(read_address("192.0.2.3"))

        assert attempts.wait_seconds(HERE) == 0
