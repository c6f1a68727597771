"""The gateway: all sessions of a process, their limits, and what happens with time."""

import asyncio
import contextlib
import itertools
from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Sequence

import structlog
from prometheus_client import CollectorRegistry

from agio.identity.api import Authenticator, KeyRevoked, Policy, Principal, Revocations
from agio.kernel.ids import KeyId
from agio.kernel.problem import Problem
from agio.platform.channels import ChannelHandle, ChannelKind
from agio.platform.clock import Clock
from agio.streaming.encoding import MSGPACK_SUBPROTOCOL, Encoding
from agio.streaming.errors import CloseCode, Draining, Overloaded
from agio.streaming.event_session import EventSession
from agio.streaming.handshake import UpgradeRequest, require_origin
from agio.streaming.hub import HubServices
from agio.streaming.messages import ChannelRequest
from agio.streaming.metrics import StreamMetrics
from agio.streaming.multiplex import MultiplexSession
from agio.streaming.outbound import QueueBudget
from agio.streaming.peers import Peers
from agio.streaming.ports import Feed, PressureHook, SourceStates, Wire, no_pressure, no_sources
from agio.streaming.registry import HubRegistry
from agio.streaming.session import Session, SessionServices
from agio.streaming.settings import StreamingSettings
from agio.streaming.simple import SimpleSession, open_trades
from agio.streaming.ticker import Ticker

log = structlog.get_logger(__name__)

_SWEEP_SECONDS = 0.25
_SWEEP_TURNS = 4
"""A connection for which nothing waits is looked after once in so many rounds."""
_PRESS_SECONDS = 1.0
_ENDED_KEYS = 10_000


class Gateway:
    """Admits connections and keeps them; `start` before the first, `drain` and `stop` at the end."""

    def __init__(
        self,
        feed: Feed,
        kinds: Sequence[ChannelKind],
        authenticator: Authenticator,
        clock: Clock,
        *,
        policy: Policy | None = None,
        revocations: Revocations | None = None,
        settings: StreamingSettings | None = None,
        registry: CollectorRegistry | None = None,
        sources: SourceStates = no_sources,
        on_pressure: PressureHook = no_pressure,
    ) -> None:
        self.settings = settings or StreamingSettings()
        self.metrics = StreamMetrics(registry or CollectorRegistry())
        self._feed = feed
        self._revocations = revocations
        self._clock = clock
        self._on_pressure = on_pressure
        self._ticker = Ticker(self.settings.tick_seconds)
        self._shared = HubServices(feed, self.settings, self.metrics, self._ticker)
        self._hubs = HubRegistry(kinds, self._shared)
        self._budget = QueueBudget(self.settings.process_queue_bytes)
        self._services = SessionServices(
            self._hubs,
            self._shared,
            self._budget,
            authenticator,
            policy or Policy(),
            clock,
            sources,
            self,
        )
        self._sessions: set[Session] = set()
        self.peers = Peers(feed, self._sessions)
        self._sweep_turns = itertools.count()
        self._keys: dict[KeyId, set[Session]] = {}
        self._ended_keys: OrderedDict[KeyId, None] = OrderedDict()
        """The newest keys that ended: one may end while a connection with it is being let in."""
        self._strangers: Counter[str] = Counter()
        """Connections that have not authenticated yet, by address."""
        self._pressing: set[Session] = set()
        self._is_draining = False
        self._tasks: list[asyncio.Task[None]] = []
        self._end_watch: Callable[[], None] | None = None

    @property
    def kinds(self) -> list[ChannelKind]:
        """Every family of channels that can be asked for."""
        return self._hubs.kinds

    @property
    def sessions(self) -> Collection[Session]:
        """Every connection of this process."""
        return self._sessions

    @property
    def is_draining(self) -> bool:
        """Not ready for new connections any more."""
        return self._is_draining

    async def start(self) -> None:
        if self._revocations is not None:
            self._end_watch = self._revocations.watch(self.revoke)
        self._feed.on_reconnect(self._bus_returned)
        await self.peers.open()
        work = (self._keep_time(), self._keep_verifying(), self.peers.run())
        self._tasks = [asyncio.create_task(part) for part in work]

    async def drain(self, within_seconds: float) -> None:
        """Ask clients to leave, wait for them, then close what is left with 1012."""
        self._is_draining = True
        sessions = list(self._sessions)
        within_ms = round(within_seconds * 1000)
        for index, session in enumerate(sessions):
            session.drain(within_ms, within_ms * index // (2 * max(1, len(sessions))))
        until = asyncio.get_running_loop().time() + within_seconds
        while self._sessions and asyncio.get_running_loop().time() < until:  # noqa: ASYNC110 - bounded
            await asyncio.sleep(0.05)
        for session in list(self._sessions):
            session.finish(CloseCode.SERVICE_RESTART, "restart")

    async def stop(self) -> None:
        """End everything; sessions that are still here get 1012."""
        self._is_draining = True
        if self._end_watch is not None:
            self._end_watch()
        for session in list(self._sessions):
            session.finish(CloseCode.SERVICE_RESTART, "restart")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.peers.close()
        await self._hubs.close()
        await self._shared.stop()
        self._ticker.stop()

    def revoke(self, key_id: KeyId) -> None:
        """Close the connections of a key that ended before its time."""
        now = self._clock.now()
        self._ended_keys[key_id] = None
        if len(self._ended_keys) > _ENDED_KEYS:
            self._ended_keys.popitem(last=False)
        for session in list(self._keys.get(key_id, ())):
            if session.principal is not None and session.principal.expires_at > now:
                session.close(CloseCode.REVOKED, "the key was revoked")

    # What the protocol class calls (its port `Door`)

    async def admit(self, request: UpgradeRequest, subprotocol: str | None, wire: Wire) -> Session:
        """Make the session of a handshake; raises the Problem that refuses it."""
        self._require_room(request)
        principal = await self._authenticate(request)
        if principal is None and self._strangers[request.address] >= (
            self.settings.max_unauthenticated_per_address
        ):
            raise self._refused(Overloaded("authenticate the connections that are open"))
        session = await self._make_session(request, subprotocol, wire, principal)
        self._enter(session)
        return session

    async def admit_reader(
        self, request: UpgradeRequest, principal: Principal, requests: Sequence[ChannelRequest], wire: Wire
    ) -> EventSession:
        """Make the session of a stream of events; raises the Problem that refuses it."""
        self._require_room(request)
        session = EventSession(self._services, wire, request.address, principal, requests)
        self._enter(session)
        try:
            await session.begin()
        except BaseException:
            session.lost()
            raise
        return session

    def ended(self, code: int) -> None:
        self.metrics.closes.labels(str(code)).inc()

    # What sessions call (their port `Sessions`)

    def identify(self, session: Session, principal: Principal) -> None:
        """Count a session for its key; raises KeyRevoked, or Overloaded when the key has too many."""
        if principal.key_id in self._ended_keys and principal.expires_at > self._clock.now():
            raise KeyRevoked("this key was revoked; create a new one")
        of_key = self._keys.setdefault(principal.key_id, set())
        if session not in of_key and len(of_key) >= self.settings.max_connections_per_key:
            raise self._refused(
                Overloaded(f"a key has at most {self.settings.max_connections_per_key} connections")
            )
        self._forget_identity(session)
        self._keys.setdefault(principal.key_id, set()).add(session)
        session.counted_as = principal.key_id

    def leave(self, session: Session) -> None:
        if session not in self._sessions:
            return
        self._sessions.discard(session)
        self._forget_identity(session)
        self.metrics.connections.labels(session.door).dec()

    def pressure(self, session: Session, *, is_pressing: bool) -> None:
        had_any = bool(self._pressing)
        if is_pressing:
            self._pressing.add(session)
        else:
            self._pressing.discard(session)
        if had_any != bool(self._pressing):
            self._on_pressure(bool(self._pressing))

    def _require_room(self, request: UpgradeRequest) -> None:
        if self._is_draining:
            raise self._refused(Draining("this node restarts; connect again"))
        require_origin(request, self.settings.allowed_origins)
        if len(self._sessions) >= self.settings.max_connections:
            raise self._refused(Overloaded("the server has as many connections as it may"))

    def _enter(self, session: Session) -> None:
        """Count a session; raises what `identify` raises."""
        self._sessions.add(session)
        session.sweep_turn = next(self._sweep_turns) % _SWEEP_TURNS
        self._strangers[session.address] += 1
        self.metrics.connections.labels(session.door).inc()
        if session.principal is not None:
            try:
                self.identify(session, session.principal)
            except Problem:
                session.lost()
                raise

    def _refused(self, problem: Draining | Overloaded) -> Draining | Overloaded:
        self.metrics.refusals.labels(problem.code).inc()
        return problem

    def _forget_identity(self, session: Session) -> None:
        key_id = session.counted_as
        if key_id is None:
            self._strangers[session.address] -= 1
            if self._strangers[session.address] <= 0:
                del self._strangers[session.address]
            return
        of_key = self._keys.get(key_id, set())
        of_key.discard(session)
        if not of_key:
            self._keys.pop(key_id, None)

    async def _authenticate(self, request: UpgradeRequest) -> Principal | None:
        if request.token is not None:
            return await self._services.authenticator.authenticate(request.token, request.address)
        if request.ticket is not None:
            return await self._services.authenticator.redeem_ticket(request.ticket, request.address)
        return None

    async def _make_session(
        self, request: UpgradeRequest, subprotocol: str | None, wire: Wire, principal: Principal | None
    ) -> Session:
        if request.symbol is None:
            encoding = Encoding.MSGPACK if subprotocol == MSGPACK_SUBPROTOCOL else Encoding.JSON
            return MultiplexSession(self._services, wire, encoding, request.address, principal)
        handle: ChannelHandle | None = None
        if principal is not None:
            _, handle = await open_trades(self._services, f"trades:{request.symbol}", principal)
        return SimpleSession(self._services, wire, request.symbol, request.address, principal, handle)

    async def _bus_returned(self) -> None:
        self._shared.run(self._hubs.verify_all())

    async def _keep_time(self) -> None:
        pressed_at = 0.0
        for turn in itertools.cycle(range(_SWEEP_TURNS)):
            await asyncio.sleep(_SWEEP_SECONDS)
            self._sweep(turn)
            now = asyncio.get_running_loop().time()
            if self._pressing and now - pressed_at >= _PRESS_SECONDS:
                pressed_at = now
                self._on_pressure(True)
            self._hubs.publish_metrics()
            self.metrics.publish()
            self.metrics.queued_bytes.set(self._budget.used_bytes)
            self.metrics.ring_bytes.set(self._shared.rings.used_bytes)

    def _sweep(self, turn: int) -> None:
        """Look after everybody for whom something waits, and after each of the others in turn."""
        for session in list(self._sessions):
            if session.queue.is_free and session.sweep_turn != turn and session not in self._pressing:
                continue
            try:
                session.sweep()
            except Exception:
                log.exception("stream_sweep_failed", connection=session.connection_id)

    async def _keep_verifying(self) -> None:
        while True:
            await asyncio.sleep(self.settings.verify_seconds)
            with contextlib.suppress(Exception):
                await self._hubs.verify_quiet()
