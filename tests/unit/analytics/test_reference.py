"""The catalogue, its page, and the shapes that carry it."""

from pathlib import Path

from agio.analytics.model.blocks import ExposureBlock, ReturnsBlock, RiskBlock
from agio.analytics.model.registry import METRICS, TABLES
from agio.analytics.reference import render_metrics

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "metrics.md"


def test_the_page_is_what_the_catalogue_says() -> None:
    """When this fails: python -m agio.analytics.reference docs/reference/metrics.md"""
    assert PAGE.read_text(encoding="utf-8") == render_metrics()


def test_every_metric_has_a_place_in_its_block() -> None:
    fields = {
        "returns": set(ReturnsBlock.__struct_fields__),
        "risk": set(RiskBlock.__struct_fields__),
        "exposure": set(ExposureBlock.__struct_fields__) | {"weight"},
        "tail": {"var", "cvar"},
    }
    for definition in METRICS.values():
        assert definition.name in fields[definition.block]
    named = set(METRICS) | set(TABLES) | {"currencies"}
    assert set.union(*fields.values()) <= named


def test_every_definition_is_complete() -> None:
    for definition in METRICS.values():
        assert all((definition.unit, definition.formula, definition.convention, definition.source))
