from agio.kernel.ids import OrderId
from agio.trading.providers.register import OrderRegister


class TestFinish:
    def test_at_least_the_latest_finished_orders_are_remembered_and_memory_is_bounded(self) -> None:
        register = OrderRegister(remembered=100)
        for number in range(1_000):
            register.finish(OrderId(f"ord_{number}"))
        answers = [register.answer_repeat(OrderId(f"ord_{number}")) for number in range(1_000)]
        assert answers[-100:] == [[]] * 100
        assert answers[:500] == [None] * 500
