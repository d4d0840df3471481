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


def changed(claims: list[Claim], values: dict[str, float]) -> list[Claim]:
    """Return the claims with other values, by claim id."""
    return [dataclasses.replace(claim, value=values.get(claim.claim_id, claim.value)) for claim in claims]


def test_exactly_the_two_broken_size_splits_are_named(claims):
    odd = {name for name in by_id(claims) if name.startswith("size-split/")}
    assert odd == {
        "size-split/table1/solov2-mobilenetv2-640",
        "size-split/table1/mask2former-topformer-base-640",
    }
    repaired = {
        "table1/solov2-mobilenetv2-640/ap_medium": 30.9,
        "table1/solov2-mobilenetv2-640/ap_large": 47.9,
        "table1/mask2former-topformer-base-640/ap_medium": 32.0,
        "table1/mask2former-topformer-base-640/ap_large": 50.0,
    }
    assert not any(name.startswith("size-split/") for name in by_id(changed(claims, repaired)))


ROW = "table1/mobileinst-topformer-base-512"


@pytest.mark.parametrize(
    ("name", "severity", "repaired"),
    [
        ("two-abstracts", "inconsistent", {f"{ROW}/latency_snapdragon_778g_ms": 170, f"{ROW}/ap": 30.6}),
        ("input-shape", "note", {f"{ROW}/latency_snapdragon_778g_ms": 433 * 0.64}),  # of a square, not of a long side
    ],
)
def test_what_contradicts_itself_holds_once_it_is_repaired(claims, name, severity, repaired):
    assert by_id(claims)[name].severity == severity
    assert by_id(changed(claims, repaired))[name].severity == "holds"


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


def test_third_party_gap_is_stated_with_both_splits(claims):
    sentence = by_id(claims)["third-party-gap/third-party/ambitious-idiot/topformer-base-640"].sentence
    assert "val2017" in sentence
    assert "test-dev" in sentence
    assert "-4.0" in sentence


def test_threshold_order_catches_swapped_columns(claims):
    assert by_id(claims)["threshold-order"].severity == "holds"
    swapped = changed(claims, {"table2/2019/crossvis-resnet-50/ap50": 20})
    assert by_id(swapped)["threshold-order"].claim_ids == ("table2/2019/crossvis-resnet-50/ap50",)
