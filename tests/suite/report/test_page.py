"""The page is one honest file: everything escaped, every link lands, and it works in a real browser."""

import re
from pathlib import Path

import pytest

from suite.records.schema import Artifact, Subject
from suite.report.render import build_page, build_tables
from suite.report.summary import BEGIN, END, results_block, with_block
from suite.report.verdicts import load_evidence
from tests.suite.deploy.test_browser import CHROMIUM, dump_dom
from tests.suite.report.synthetic import TINY, RunMaker


def test_every_link_lands_every_id_is_unique_and_no_script_is_needed(rendered: Path):
    text = (rendered / "index.html").read_text()
    ids, links, sources = (re.findall(rf'\b{name}="([^"]*)"', text) for name in ("id", "href", "src"))
    assert len(set(ids)) == len(ids)
    assert {link[1:] for link in links if link.startswith("#")} <= set(ids)
    files = [link for link in (*links, *sources) if not link.startswith(("#", "data:", "https://arxiv.org/"))]
    assert {link.split("/")[0] for link in files} == {"records", "figures", "pictures"}
    assert all((rendered / link).is_file() for link in files)
    assert "<script" not in text
    assert "@import" not in text
    assert text.index('class="findings"') < text.index("<figure id=")
    assert len(text.encode()) < 1_000_000


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
    assert "pictures/x.png" in text
    assert with_block(with_block(f"{BEGIN}\n{END}", block), block).count(END) == 1


SOURCE = "document.querySelector('.motion img').currentSrc"
ASK = f"document.title = [document.documentElement.scrollWidth, {SOURCE}].join(' ')"


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here (Debian: chromium)")
@pytest.mark.parametrize(("width", "option"), [(1280, "--mute-audio"), (500, "--force-prefers-reduced-motion")])
def test_a_browser_shows_it_without_sideways_scrolling_and_respects_reduced_motion(
    rendered: Path, tmp_path: Path, width: int, option: str
):
    opened = (rendered / "index.html").read_text().replace("<details", "<details open")
    copy = rendered / f"opened_{width}.html"
    copy.write_text(opened.replace("</body>", f"<script>window.onload = () => {{ {ASK}; }}</script></body>"))
    dom = dump_dom(copy.as_uri(), tmp_path, f"--window-size={width},900", option)
    found, source = re.search(r"<title>(\d+) (\S+)</title>", dom).groups()
    assert int(found) <= width
    assert source.endswith("shapes_tracks.png" if "motion" in option else "shapes_tracks_animated.png")
