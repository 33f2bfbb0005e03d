"""The closed sets and their codes: what is stored must mean the same for ever."""

from __future__ import annotations

from outlay.core.centre import CENTRE_OF, STRUCTURE, CostCentre, Operation
from outlay.core.charge import PROVENANCE_CODE, PROVENANCES
from outlay.core.envelope import ENVELOPE_KEYS, UNTAGGED, Envelope
from outlay.core.errors import OutlayError, nearest
from outlay.core.meters import METER_CODE, METER_NAMES, METERS


def test_every_operation_has_one_cost_centre() -> None:
    assert set(CENTRE_OF) == set(Operation)
    assert CostCentre.RETRIES not in CENTRE_OF.values(), "a retry is a matter of what happened, not of the operation"
    assert all(CENTRE_OF[operation] is CostCentre.ORCHESTRATION for operation in STRUCTURE)


def test_stored_codes_never_move() -> None:
    """Books on disk hold these numbers: a new word goes to the end."""
    assert METER_NAMES[:11] == (
        "in_uncached",
        "in_cache_read",
        "in_cache_write_5m",
        "in_cache_write_1h",
        "in_cache_write_unspec",
        "in_audio",
        "in_image",
        "out_text",
        "out_reasoning",
        "out_audio",
        "out_image",
    )
    assert METER_CODE["total"] == 11
    assert [item.value for item in PROVENANCES] == ["recorded", "priced", "estimated", "unpriced"]
    assert list(PROVENANCE_CODE.values()) == [0, 1, 2, 3]
    assert ENVELOPE_KEYS[:4] == ("team", "feature", "user_tier", "agent")


def test_meters_are_disjoint_by_name_and_explained() -> None:
    assert len(set(METER_NAMES)) == len(METER_NAMES)
    assert all(meter.text and meter.unit and meter.side in {"input", "output", "other"} for meter in METERS)


def test_an_envelope_inherits_only_what_it_lacks() -> None:
    inner = Envelope(team="onboarding", tags={"a": "1"})
    outer = Envelope(team="platform", feature="kyc", tags={"a": "2", "b": "3"})
    merged = inner.inherit(outer)
    assert (merged.team, merged.feature, merged.customer) == ("onboarding", "kyc", UNTAGGED)
    assert merged.tags == {"a": "1", "b": "3"}


def test_errors_have_a_code_a_status_and_a_way_out() -> None:
    kinds = [OutlayError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    assert all(kind.code and 400 <= kind.status < 600 and kind.__doc__ for kind in kinds)
    assert nearest("taem", ["team", "feature"]) == 'did you mean "team"?'
    assert nearest("xyz", ["team", "feature"]) == "valid: feature, team"
