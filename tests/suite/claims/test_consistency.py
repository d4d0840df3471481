"""What the published numbers say about each other, and that repaired numbers pass."""

import dataclasses

import pytest

from suite.claims.claim import Claim
from suite.claims.consistency import Finding, check_consistency
from suite.claims.loader import load_claims


@pytest.fixture(scope="module")
def claims() -> list[Claim]:
    return load_claims()


def by_id(claims: list[Claim]) -> dict[str, Finding]:
    findings = check_consistency(claims)
    assert len({finding.finding_id for finding in findings}) == len(findings)
    return {finding.finding_id: finding for finding in findings}


def changed(claims: list[Claim], **values: float) -> list[Claim]:
    """Return the claims with other values; keys are claim ids with ``/`` and ``-`` written ``__`` and ``_``."""
    wanted = {key.replace("__", "/"): value for key, value in values.items()}
    names = {claim.claim_id.replace("-", "_"): claim.claim_id for claim in claims}
    by_claim = {names[key]: value for key, value in wanted.items()}
    return [dataclasses.replace(claim, value=by_claim.get(claim.claim_id, claim.value)) for claim in claims]


def test_exactly_the_two_broken_size_splits_are_named(claims):
    odd = {name for name in by_id(claims) if name.startswith("size-split/")}
    assert odd == {
        "size-split/table1/solov2-mobilenetv2-640",
        "size-split/table1/mask2former-topformer-base-640",
    }
    repaired = changed(
        claims,
        table1__solov2_mobilenetv2_640__ap_medium=30.9,
        table1__solov2_mobilenetv2_640__ap_large=47.9,
        table1__mask2former_topformer_base_640__ap_medium=32.0,
        table1__mask2former_topformer_base_640__ap_large=50.0,
    )
    assert not any(name.startswith("size-split/") for name in by_id(repaired))


def test_the_two_abstracts_contradict_each_other_unless_a_row_is_that_good(claims):
    assert by_id(claims)["two-abstracts"].severity == "inconsistent"
    fast = changed(
        claims,
        table1__mobileinst_topformer_base_512__latency_snapdragon_778g_ms=170,
        table1__mobileinst_topformer_base_512__ap=30.6,
    )
    assert by_id(fast)["two-abstracts"].severity == "holds"


def test_arithmetic_limit_names_rows_that_no_reading_allows_in_fp32(claims):
    finding = by_id(claims)["arithmetic-limit"]
    assert finding.severity == "note"
    assert "table1/condinst-topformer-base-640/latency_snapdragon_778g_ms" not in finding.claim_ids
    assert "table1/yolact-mobilenetv2-550/latency_snapdragon_778g_ms" in finding.claim_ids
    slow = [dataclasses.replace(c, value=c.value * 10) if c.device == "snapdragon-778g" else c for c in claims]
    assert by_id(slow)["arithmetic-limit"].severity == "holds"


def test_half_of_prior_art_is_judged_per_method(claims):
    findings = by_id(claims)
    assert findings["half-of-prior-art/inconsistent"].claim_ids == ("ratio/coco-latency-vs-sparseinst",)
    assert "ratio/coco-latency-vs-mask2former" in findings["half-of-prior-art/holds"].claim_ids


def test_input_shape_tells_squares_from_a_fixed_long_side(claims):
    assert by_id(claims)["input-shape"].severity == "note"
    square = changed(claims, table1__mobileinst_topformer_base_512__latency_snapdragon_778g_ms=433 * 0.64)
    assert by_id(square)["input-shape"].severity == "holds"


def test_third_party_gap_is_stated_with_both_splits(claims):
    sentence = by_id(claims)["third-party-gap/third-party/ambitious-idiot/topformer-base-640"].sentence
    assert "val2017" in sentence
    assert "test-dev" in sentence
    assert "-4.0" in sentence


def test_threshold_order_catches_swapped_columns(claims):
    assert by_id(claims)["threshold-order"].severity == "holds"
    swapped = changed(claims, table2__2019__crossvis_resnet_50__ap50=20)
    assert by_id(swapped)["threshold-order"].claim_ids == ("table2/2019/crossvis-resnet-50/ap50",)
