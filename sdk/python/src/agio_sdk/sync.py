"""The same client for code without an event loop: every call runs on a private loop in a thread."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

import msgspec

from agio_sdk.client import Agio
from agio_sdk.models import Trade
from agio_sdk.subscription import Message, Subscription

T = TypeVar("T")


class SyncSubscription:
    """A blocking iterator over one channel's messages."""

    def __init__(self, run: Callable[[Coroutine[Any, Any, Any]], Any], subscription: Subscription) -> None:
        self._run = run
        self._subscription = subscription

    def __iter__(self) -> Iterator[Message]:
        while True:
            try:
                batch = self._run(self._subscription.next_batch())
            except StopAsyncIteration:
                return
            yield from batch

    def close(self) -> None:
        self._run(self._subscription.aclose())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class SyncAgio:
    """Blocking twin of `Agio`: `agio.call(agio.client.place_order(...))`, and shortcuts for the usual verbs.

    Any method of `Agio` is available under its own name and blocks until it has its answer.
    """

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        ca_file: str | Path | None = None,
        encoding: Literal["json", "msgpack"] = "json",
    ) -> None:
        self.client = Agio(url, api_key, ca_file=ca_file, encoding=encoding)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="agio-sdk", daemon=True)
        self._thread.start()

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine of the client and wait for its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self.client, name)
        if not asyncio.iscoroutinefunction(method):
            raise AttributeError(name)

        def blocking(*args: Any, **kwargs: Any) -> Any:
            return self.call(method(*args, **kwargs))

        return blocking

    def subscribe(self, channel: str, **options: Any) -> SyncSubscription:
        return SyncSubscription(self.call, self.call(self.client.subscribe(channel, **options)))

    def trades(self, symbol: str) -> Iterator[Trade]:
        """Trades of a symbol as they happen."""
        with self.subscribe(f"trades:{symbol}") as subscription:
            for message in subscription:
                yield msgspec.structs.replace(message.decode(Trade), seq=message.q)

    def close(self) -> None:
        """Close the connections and end the thread; safe to call twice."""
        if self._thread.is_alive():
            self.call(self.client.aclose())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
