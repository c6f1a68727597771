"""Refusals of operations."""

from agio.kernel.problem import Unavailable


class NotReady(Unavailable):
    """This node should get no traffic now; `checks` says which part does not answer."""

    code = "not_ready"
    title = "Not ready"
