"""Replays: SQL."""

from typing import LiteralString

from agio.marketdata.replays.model import Replay
from agio.platform.db import Transaction

_REPLAY: LiteralString = (
    "replay_id, path, kind, symbol, speed, time_zone, state, total, done, heard, first_seq, first_ns,"
    " last_ns, venue_time_ns, price_scale, quantity_scale, file_size, file_modified_ns, problem,"
    " problem_line, created_at, started_at, finished_at"
)


async def insert_replay(tx: Transaction, replay: Replay) -> None:
    await tx.execute(
        "insert into marketdata.replay (replay_id, path, kind, symbol, speed, time_zone, total, first_ns,"
        " last_ns, price_scale, quantity_scale, file_size, file_modified_ns, created_at)"
        " values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            replay.replay_id,
            replay.path,
            replay.kind,
            replay.symbol,
            replay.speed,
            replay.time_zone,
            replay.total,
            replay.first_ns,
            replay.last_ns,
            replay.price_scale,
            replay.quantity_scale,
            replay.file_size,
            replay.file_modified_ns,
            replay.created_at,
        ),
    )


async def read_replay(tx: Transaction, replay_id: str) -> Replay | None:
    return await tx.fetch_one(
        Replay, f"select {_REPLAY} from marketdata.replay where replay_id = %s", (replay_id,)
    )


async def read_active(tx: Transaction) -> list[Replay]:
    return await tx.fetch(
        Replay,
        f"select {_REPLAY} from marketdata.replay where state in ('pending', 'running') order by created_at",
    )


async def read_newest(tx: Transaction) -> Replay | None:
    """The one that plays, else the one asked for last."""
    return await tx.fetch_one(
        Replay,
        f"select {_REPLAY} from marketdata.replay"
        " order by (state in ('pending', 'running')) desc, created_at desc limit 1",
    )


async def start_replay(tx: Transaction, replay_id: str) -> Replay | None:
    """Mark as running, for the first time or after a crash; None when it is over."""
    return await tx.fetch_one(
        Replay,
        "update marketdata.replay set state = 'running', started_at = coalesce(started_at, clock_timestamp())"
        f" where replay_id = %s and state in ('pending', 'running') returning {_REPLAY}",
        (replay_id,),
    )


async def advance_replay(
    tx: Transaction, replay_id: str, *, done: int, heard: int, venue_time_ns: int, first_seq: int | None
) -> bool:
    """Move the position; False when the replay is no longer running."""
    moved = await tx.execute(
        "update marketdata.replay set done = %s, heard = %s, venue_time_ns = %s,"
        " first_seq = coalesce(first_seq, %s) where replay_id = %s and state = 'running'",
        (done, heard, venue_time_ns, first_seq, replay_id),
    )
    return moved == 1


async def finish_replay(tx: Transaction, replay_id: str) -> None:
    await tx.execute(
        "update marketdata.replay set state = 'done', heard = done, finished_at = clock_timestamp()"
        " where replay_id = %s and state = 'running'",
        (replay_id,),
    )


async def fail_replay(tx: Transaction, replay_id: str, problem: str, line: int | None) -> None:
    await tx.execute(
        "update marketdata.replay set state = 'failed', problem = %s, problem_line = %s,"
        " finished_at = clock_timestamp() where replay_id = %s and state in ('pending', 'running')",
        (problem, line, replay_id),
    )


async def cancel_replay(tx: Transaction, replay_id: str) -> None:
    await tx.execute(
        "update marketdata.replay set state = 'canceled', finished_at = clock_timestamp()"
        " where replay_id = %s and state in ('pending', 'running')",
        (replay_id,),
    )
