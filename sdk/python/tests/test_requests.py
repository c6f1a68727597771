"""Requests whose server dies in the middle of its answer."""

import pytest
from aiohttp import web
from sdk.python.tests.script import serving

from agio_sdk import Agio, OutcomeUnknown

ME = {"key_id": "key_1", "organisation_id": "org_1", "environment": "sandbox", "scopes": []}


async def break_off(request: web.Request) -> web.StreamResponse:
    """The head of an answer, and a part of its body."""
    response = web.StreamResponse(headers={"Content-Length": "100"})
    await response.prepare(request)
    await response.write(b"{")
    assert request.transport is not None
    request.transport.abort()
    return response


async def test_a_repeatable_one_is_repeated() -> None:
    asked = 0

    async def me(request: web.Request) -> web.StreamResponse:
        nonlocal asked
        asked += 1
        return await break_off(request) if asked == 1 else web.json_response(ME)

    async with serving([web.get("/api/me", me)]) as url, Agio(url, "key") as agio:
        assert (await agio.get("/api/me", dict[str, object]))["key_id"] == "key_1"
    assert asked == 2


async def test_nobody_can_tell_what_became_of_another() -> None:
    async with serving([web.post("/api/portfolios", break_off)]) as url, Agio(url, "key") as agio:
        with pytest.raises(OutcomeUnknown):
            await agio.post("/api/portfolios", dict[str, object], {})
