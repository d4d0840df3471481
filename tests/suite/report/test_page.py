"""The page is one honest file: everything escaped, every link lands, and it works in a real browser."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from suite.drawing.track_pictures import animated_png
from suite.records.schema import Artifact, Subject
from suite.report.page import build_page
from suite.report.readme import BEGIN, END, results_block, with_block
from suite.report.render import build_tables, render_figures, render_report
from suite.report.verdicts import load_evidence
from tests.suite.report.chromium import PROGRAM, Browser, browser
from tests.suite.report.synthetic import TINY, RunMaker


class Links(HTMLParser):
    """Collects ids, links and sources, and checks that tags are closed in order."""

    VOID = frozenset({"meta", "link", "input", "img", "br", "source"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.sources: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if values.get("id"):
            self.ids.append(values["id"] or "")
        for name, found in (("href", self.links), ("src", self.sources)):
            if values.get(name):
                found.append(values[name] or "")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    maker = RunMaker(tmp_path_factory.mktemp("page") / "reports" / "records")
    maker.folder.mkdir(parents=True)
    maker.everything()
    reports = maker.folder.parent
    (reports / "pictures").mkdir()
    Image.new("RGB", (12, 4), (9, 9, 9)).save(reports / "pictures" / "shapes_tracks.png")
    frames = [Image.new("RGB", (8, 4), (60 * number, 0, 0)) for number in range(3)]
    (reports / "pictures" / "shapes_tracks_animated.png").write_bytes(animated_png(frames))
    subject = Subject(TINY)
    for name in ("shapes_tracks", "shapes_tracks_animated"):
        maker.write(maker.run(name), Artifact(name, f"reports/pictures/{name}.png", "0" * 64, subject, f"the {name}"))
    render_report(reports)
    return reports / "index.html"


def test_every_link_lands_and_every_id_is_unique(page: Path):
    found = Links(page.read_text())
    assert found.open == []
    assert len(set(found.ids)) == len(found.ids)
    for link in found.links:
        if link.startswith("#"):
            assert link[1:] in found.ids, link
    files = [
        link for link in (*found.links, *found.sources) if not link.startswith(("#", "data:", "https://arxiv.org/"))
    ]
    assert {link.split("/")[0] for link in files} == {"records", "figures", "pictures"}
    assert all((page.parent / link).is_file() for link in files)


def test_the_page_needs_no_script_and_says_what_was_found_before_anything_else(page: Path):
    text = page.read_text()
    assert "<script" not in text
    assert "@import" not in text
    assert text.index('class="findings"') < text.index("<figure id=")
    assert len(page.read_bytes()) < 1_000_000


def test_measured_cells_link_to_their_run_and_claims_to_rule_and_command(page: Path):
    text = page.read_text()
    assert re.search(r'<a href="#run-20260101T0003[^"]*">0\.80', text)
    assert "python -m suite latency host --models" in text
    assert "c" * 40 in text


def test_hostile_record_text_is_escaped(maker: RunMaker):
    maker.training(0, 0.5, command="<script>alert(1)</script>")
    caption = "<!-- end: results --> [x](javascript:alert(1)) <script>"
    subject = Subject(TINY)
    maker.write(maker.run("drawn"), Artifact("shapes_masks", "reports/pictures/x.png", "0" * 64, subject, caption))
    maker.write(maker.run("odd"), Artifact("odd", "javascript:alert(1).png", "0" * 64, subject, "odd"))
    evidence = load_evidence(maker.folder)
    text = build_page(evidence, build_tables(evidence), {})
    assert "<script>" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert 'href="javascript:' not in text
    block = results_block(evidence)
    assert "pictures/x.png" in block
    assert with_block(with_block(f"{BEGIN}\n{END}", block), block).count(END) == 1


def test_the_page_of_nothing_still_has_the_ledger(maker: RunMaker):
    evidence = load_evidence(maker.folder)
    text = build_page(evidence, build_tables(evidence), {})
    assert "214 published" in text
    assert text.count("<tr id=") == 214


def test_repeating_gives_the_same_bytes(page: Path):
    evidence = load_evidence(page.parent / "records")
    assert build_page(evidence, build_tables(evidence), render_figures(evidence)) == page.read_text()


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if PROGRAM is None:
        pytest.skip("no Chromium here (Debian: chromium)")
    with browser(tmp_path_factory.mktemp("profile")) as found:
        yield found


def test_a_measured_cell_leads_to_its_record(page: Path, window: Browser):
    window.open(page, 1280, 900)
    window.run("document.querySelector('#table-ledger tbody a').click()")
    window.run("new Promise(done => setTimeout(done, 100))")
    assert window.run("location.hash").startswith("#run-20260101T0003")
    assert window.run("document.querySelector(location.hash).querySelector('summary').checkVisibility()")
    assert window.problems == []


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, False), (390, True)])
def test_no_sideways_scrolling_and_no_errors(page: Path, window: Browser, width: int, dark: bool):
    window.open(page, width, 900, dark=dark)
    window.run("document.querySelectorAll('details').forEach(item => { item.open = true; })")
    assert window.run("document.documentElement.scrollWidth") <= width
    assert window.problems == []


@pytest.mark.parametrize("still", [False, True])
def test_the_animation_respects_reduced_motion(page: Path, window: Browser, still: bool):
    window.open(page, 1280, 900, still=still)
    shown = window.run("document.querySelector('.motion img').currentSrc.split('/').pop()")
    assert shown == ("shapes_tracks.png" if still else "shapes_tracks_animated.png")
    assert window.problems == []


def test_dark_and_light_differ(page: Path, window: Browser):
    colours = []
    for dark in (False, True):
        window.open(page, 1280, 900, dark=dark)
        colours.append(window.run("getComputedStyle(document.body).backgroundColor"))
    assert colours == ["rgb(255, 255, 255)", "rgb(22, 22, 24)"]
