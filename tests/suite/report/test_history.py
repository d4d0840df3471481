"""History: every number beside its own earlier values, and nothing drawn before there are two."""

import json

import pytest

from suite.cli import main
from suite.records.schema import Measurement, Subject
from suite.records.store import read_folder
from suite.report.drawing import style
from suite.report.evidence import load_evidence
from suite.report.explain import names
from suite.report.figures import history as figure
from suite.report.history import trends
from suite.report.tables import history as table
from tests.suite.report.synthetic import BASE_640, SHAPES, TINY, WEIGHTS, RunMaker


@pytest.fixture
def three_commits(maker: RunMaker) -> RunMaker:
    for place, sha in enumerate(("a" * 40, "b" * 40, "c" * 40)):
        for seed in range(2):
            maker.training(seed, 0.50 + 0.02 * place * (1 + seed / 50), git_sha=sha)
        maker.latency({BASE_640: 100.0 - 5 * place, TINY: 5.0}, git_sha=sha)
        maker.training(0, 0.4, query_passing=False, git_sha=sha)
    return maker


def test_a_number_is_followed_through_the_commits_and_its_last_step_judged(three_commits: RunMaker):
    found = {trend.cell_id: trend for trend in trends(read_folder(three_commits.folder)[0])}
    followed = found[f"mask_ap/{TINY}/shapes-val"]
    assert [point.sha[0] for point in followed.points] == ["a", "b", "c"]
    assert [round(100 * point.cell.value, 2) for point in followed.points] == [50.0, 52.02, 54.04]
    assert followed.delta is not None
    assert followed.delta.word == "better"
    assert followed.delta.value == pytest.approx(0.0202)
    faster = next(trend for name, trend in found.items() if name.startswith(f"latency_cpu_ms/{BASE_640}"))
    assert (faster.delta is not None, faster.delta and faster.delta.word) == (True, "better")
    assert not any("no-query-passing" in name for name in found), "the ablation has a table of its own"


def test_commits_with_other_seeds_are_compared_on_those_they_share(maker: RunMaker):
    for seed, mask_ap in ((0, 0.60), (1, 0.50), (2, 0.40)):
        maker.training(seed, mask_ap, git_sha="a" * 40)
    maker.training(0, 0.60, git_sha="b" * 40)
    found = {trend.cell_id: trend for trend in trends(read_folder(maker.folder)[0])}
    followed = found[f"mask_ap/{TINY}/shapes-val"]
    assert [point.cell.value for point in followed.points] == pytest.approx([0.60, 0.60])
    assert followed.delta is not None
    assert followed.delta.word == "equal"


def test_a_commit_that_shares_no_seed_with_the_latest_is_left_out(maker: RunMaker):
    for seed, mask_ap in ((0, 0.60), (1, 0.50), (2, 0.40)):
        maker.training(seed, mask_ap, git_sha="a" * 40)
    maker.training(0, 0.60, git_sha="b" * 40)
    for seed, mask_ap in ((1, 0.50), (2, 0.40)):
        maker.training(seed, mask_ap, git_sha="c" * 40)
    found = {trend.cell_id: trend for trend in trends(read_folder(maker.folder)[0])}
    followed = found[f"mask_ap/{TINY}/shapes-val"]
    assert [(point.sha[0], point.cell.value) for point in followed.points] == [("a", 0.45), ("c", 0.45)]


def test_times_are_followed_whatever_seed_drew_the_weights(maker: RunMaker):
    maker.latency({BASE_640: 100.0}, git_sha="a" * 40, seed=0)
    maker.latency({BASE_640: 90.0}, git_sha="b" * 40, seed=1)
    (followed,) = trends(read_folder(maker.folder)[0])
    assert [point.cell.value for point in followed.points] == [100.0, 90.0]


def test_what_the_ablation_trains_is_no_headline_number(maker: RunMaker):
    maker.training(0, 0.5)
    subject, protocol = Subject(TINY, WEIGHTS), {"seed": 0, "iterations": 900, "experiment": "ablation"}
    maker.write(maker.run("ablation"), Measurement("mask_ap", 0.2, subject, protocol, SHAPES))
    runs = read_folder(maker.folder)[0]
    followed = [trend for trend in trends(runs) if trend.metric == "mask_ap"]
    assert [trend.points[-1].cell.value for trend in followed] == [0.5]
    assert followed[0].cell_id in names(load_evidence(maker.folder)), "what history names can be explained"
    assert len(trends(runs, "mask_ap")) == 2


def test_other_data_start_a_number_of_their_own(maker: RunMaker):
    maker.training(0, 0.5, git_sha="a" * 40)
    maker.training(0, 0.5, query_passing=False, git_sha="b" * 40)
    assert all(len(trend.points) == 1 for trend in trends(read_folder(maker.folder)[0], everything=True))


def test_the_table_says_where_there_is_only_one_commit(maker: RunMaker):
    maker.training(0, 0.5)
    built = table.build(load_evidence(maker.folder))
    assert {cell.note for row in built.rows for cell in row if not cell.text} == {"measured at one commit only", ""}


def test_the_figure_needs_two_commits_and_then_has_a_line_per_number(maker: RunMaker, three_commits: RunMaker):
    with style():
        drawn = figure.draw(load_evidence(three_commits.folder))
        assert drawn is not None
        assert [axes.get_title(loc="left") for axes in drawn.axes] == ["AP by commit", "CPU time by commit"]
        assert len(drawn.axes[0].texts) == 4
    (latest,) = [path for path in three_commits.folder.glob("*.jsonl") if "T0000" in path.name]
    for path in three_commits.folder.glob("*.jsonl"):
        if path != latest:
            path.unlink()
    with style():
        assert figure.draw(load_evidence(three_commits.folder)) is None


def test_every_line_of_a_panel_has_its_name_and_a_look_of_its_own(maker: RunMaker):
    for place, sha in enumerate(("a" * 40, "b" * 40)):
        maker.latency({f"model_{number}": 100.0 + number - 5 * place for number in range(9)}, git_sha=sha)
    with style():
        drawn = figure.draw(load_evidence(maker.folder))
        assert drawn is not None
        lines = [bars.lines[0] for bars in drawn.axes[0].containers]
        looks = {(line.get_color(), line.get_marker()) for line in lines}
        assert len(looks) == len(lines) == len(drawn.axes[0].texts)


def test_the_command_prints_text_markdown_and_every_value_as_json(
    three_commits: RunMaker, capsys: pytest.CaptureFixture[str]
):
    arguments = ["history", "--records", str(three_commits.folder)]
    assert main(arguments) == 0
    assert "50.0 ± 0.0" in capsys.readouterr().out
    assert main([*arguments, "--markdown", "--metric", "video_ap50"]) == 0
    assert capsys.readouterr().out.count("| video\\_ap50/") == 6
    assert main([*arguments, "--json", "--all"]) == 0
    found = json.loads(capsys.readouterr().out)["trends"]
    assert {item["metric"] for item in found} >= {"mask_ap75", "latency_wall_ms"}
    assert all(item["points"][0]["runs"] for item in found)
    assert main([*arguments, "--metric", "parameters"]) == 3
    assert main([*arguments, "--metric", "beauty"]) == 2
