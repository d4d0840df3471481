"""Every number of the report leads back to its run."""

import json

import pytest
import yaml

from suite.cli import main
from suite.errors import InputError
from suite.records.cells import cell_ids
from suite.report.explain import explain, find, names
from suite.report.verdicts import load_evidence
from tests.suite.report.synthetic import BASE_640, TINY, RunMaker

RATIO = "ratio/coco-latency-512-vs-640"


def test_every_id_is_unique_and_can_be_explained(filled: RunMaker):
    for seed in range(2):
        filled.training(seed, 0.4, query_passing=False)
    filled.latency({BASE_640: 90.0}, engine="ncnn")
    evidence = load_evidence(filled.folder)
    known = names(evidence)
    assert len(set(known)) == len(known) == len(evidence.claims) + len(evidence.cells)
    assert all(explain(evidence, name)["id"] == name for name in known)
    assert all(explain(evidence, name)["runs"] for name in cell_ids(evidence.cells))


def test_a_measured_cell_names_run_command_commit_digest_and_machine(filled: RunMaker):
    found = explain(load_evidence(filled.folder), f"video_ap/{TINY}/shapes-val/T3")
    assert [sample["value"] for sample in found["cell"]["samples"]] == pytest.approx([0.42, 0.44, 0.39])
    assert found["cell"]["dataset"]["digest"] == "a" * 32 + ".dir"
    assert len(found["runs"]) == 3
    run = found["runs"][0]
    assert (run["command"], run["git_sha"], run["git_dirty"]) == ("python -m suite reproduce", "c" * 40, False)
    assert (run["machine"]["cpu"][:8], run["packages"]) == ("Test CPU", {"numpy": "2.4.6"})


def test_a_claim_names_rule_interval_and_runs_and_the_text_says_the_same(
    filled: RunMaker, capsys: pytest.CaptureFixture[str]
):
    assert main(["explain", RATIO, "--json", "--records", str(filled.folder)]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["ledger"]["word"] == "partly"
    assert document["ledger"]["rule"]
    assert document["runs"][0]["git_sha"] == "c" * 40
    assert main(["explain", RATIO, "--records", str(filled.folder)]) == 0
    assert yaml.safe_load(capsys.readouterr().out) == document


def test_a_unique_part_is_enough_and_an_ambiguous_one_lists_the_choices(filled: RunMaker):
    evidence = load_evidence(filled.folder)
    assert find(evidence, "512-vs-640") == RATIO
    with pytest.raises(InputError, match=r"\d+ cells"):
        find(evidence, "table1")
    with pytest.raises(InputError, match="nonsense"):
        find(evidence, "nonsense")


def test_cells_that_differ_in_details_only_keep_separate_ids(maker: RunMaker):
    maker.latency({BASE_640: 100.0})
    other = maker.run("x").machine.__class__("host", "Other CPU", "x86_64", 2, 24.0, "Linux", [])
    maker.latency({BASE_640: 100.0}, machine=other)
    found = [name for name in cell_ids(load_evidence(maker.folder).cells) if name.startswith("latency_cpu_ms")]
    assert len(found) == 6
    assert all("#" in name for name in found)
