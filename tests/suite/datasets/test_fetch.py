from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from pathlib import Path

import pytest
import torch

from reference_model.config import get_config
from reference_model.mobileinst import MobileInst
from reference_model.weights import save_checkpoint
from suite.cli import main
from suite.datasets.health import check_health, require_health
from suite.datasets.pins import examine, load_pins, verified_digest
from suite.errors import DataError
from tests.suite.datasets.fault_server import Behaviour, serving

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture
def root(empty_root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root that DVC accepts too."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    (empty_root / ".dvc").mkdir()
    (empty_root / ".dvc" / "config").write_text("[core]\n    analytics = false\n    no_scm = true\n")
    (empty_root / ".dvcignore").write_bytes((REPOSITORY / ".dvcignore").read_bytes())
    return empty_root


def zipped(folder: Path, path: Path, stems: set[str] | None = None) -> bytes:
    """Pack a folder under its own name, as the official archives are."""
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.iterdir()):
            if stems is None or file.name in stems:
                archive.write(file, f"{folder.name}/{file.name}")
    return path.read_bytes()


def out(name: str, content: bytes, meta: str, unpack: str = ", unpack: data/coco") -> str:
    return (
        f"- md5: '{hashlib.md5(content).hexdigest()}'\n  size: {len(content)}\n  hash: md5\n  path: {name}\n"
        f"  cache: false\n  meta: {{group: coco-val, {meta}{unpack}}}\n"
    )


@pytest.fixture
def archives(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("archives")
    coco = shared_data / "coco_mini"
    return {
        "val2017.zip": zipped(coco / "val2017", folder / "val2017.zip"),
        "annotations_trainval2017.zip": zipped(coco / "annotations", folder / "annotations.zip"),
    }


def pin_all(root: Path, archives: dict[str, bytes], address: str) -> None:
    outs = (out(f"data/archives/{name}", content, f"url: '{address}/{name}'") for name, content in archives.items())
    (root / "datasets.dvc").write_text("outs:\n" + "".join(outs))


def test_real_coco_goes_the_whole_way_and_the_second_time_nothing_happens(root, archives, capsys):
    behaviour = Behaviour(files=archives, cut_at=3_000_000, cuts=2)
    with serving(behaviour) as address:
        pin_all(root, archives, address)
        assert main(["data", "fetch", "coco-val", "--json"]) == 0
        captured = capsys.readouterr()
        rows = json.loads(captured.out)
        assert {row["status"] for row in rows.values()} == {"verified"}
        assert "80 images, 815 objects, 11 of them crowds" in captured.err
        assert "the 80 of COCO" in captured.err
        asked = len(behaviour.requests)
        assert main(["data", "fetch", "coco-val"]) == 0
        assert len(behaviour.requests) == asked
        assert "unpacked into" not in capsys.readouterr().err
    assert main(["data", "verify", "coco-val"]) == 0
    assert main(["data", "unpack", "coco-val"]) == 0
    assert capsys.readouterr().out.count("already unpacked") == 2
    coco = root / "data" / "coco"
    annotations, images = coco / "annotations" / "instances_val2017.json", coco / "val2017"
    words = ["data", "health", "--dataset", "coco", "--annotations", str(annotations), "--images", str(images)]
    assert main([*words, "--deep"]) == 0
    assert "815 read, all well" in capsys.readouterr().out
    config = get_config("mobileinst_topformer_tiny_shapes")
    checkpoint, results = root / "untrained.safetensors", root / "results.json"
    torch.manual_seed(0)
    save_checkpoint(checkpoint, MobileInst(config), config, {"dataset": "nothing"})
    files = ["--annotations", str(annotations), "--images", str(images), "--checkpoint", str(checkpoint)]
    assert main(["predict", "coco", *files, "--out", str(results)]) == 0
    capsys.readouterr()
    assert main(["score", "coco", "--annotations", str(annotations), "--results", str(results), "--json"]) == 0
    assert 0 <= json.loads(capsys.readouterr().out)["stats"]["AP"] < 0.05
    (images / "000000005001.jpg").unlink()
    assert main([*words, "--json"]) == 4
    report = json.loads(capsys.readouterr().out)
    assert not report["well"]
    assert {check["what"]: check["well"] for check in report["checks"]}["files"] is False


def test_one_flipped_byte_fails_every_check(root, archives, capsys):
    with serving(Behaviour(files=archives)) as address:
        pin_all(root, archives, address)
        assert main(["data", "fetch", "coco-val", "--no-unpack"]) == 0
    target = root / "data" / "archives" / "val2017.zip"
    content = bytearray(target.read_bytes())
    content[1000] ^= 1
    target.write_bytes(content)
    capsys.readouterr()
    assert main(["data", "verify", "coco-val"]) == 4
    assert "data/archives/val2017.zip: digest is" in capsys.readouterr().err
    assert main(["data", "unpack", "val2017"]) == 4
    with pytest.raises(DataError, match=r"val2017\.zip"):
        verified_digest("val2017")


def test_archives_elsewhere_are_linked_not_copied(root, archives, tmp_path_factory, capsys):
    pin_all(root, archives, "http://127.0.0.1:9")
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    for name, content in archives.items():
        (elsewhere / name).write_bytes(content)
    assert main(["data", "fetch", "coco-val", "--from", str(elsewhere)]) == 0
    target = root / "data" / "archives" / "val2017.zip"
    assert target.samefile(elsewhere / "val2017.zip")
    assert (root / "data" / "coco" / "val2017").is_dir()
    capsys.readouterr()
    assert main(["data", "fetch", "coco-val", "--from", str(root / "nowhere")]) == 4
    assert "no such file or folder" in capsys.readouterr().err


def test_linking_what_nobody_pinned_may_be_repeated(root, tmp_path_factory, capsys):
    page = "  cache: false\n  meta: {group: g, page: 'a page (login)'}\n"
    (root / "datasets.dvc").write_text(f"outs:\n- path: data/a.zip\n{page}- path: data/b.zip\n{page}")
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "a.zip").write_bytes(b"a")
    assert main(["data", "fetch", "g", "--from", str(elsewhere)]) == 4
    assert "data/b.zip: absent" in capsys.readouterr().err
    (elsewhere / "b.zip").write_bytes(b"b")
    assert main(["data", "fetch", "g", "--from", str(elsewhere)]) == 0
    assert (root / "data" / "a.zip").samefile(elsewhere / "a.zip")
    assert (root / "data" / "b.zip").samefile(elsewhere / "b.zip")
    (elsewhere / "a.zip").unlink()
    (elsewhere / "a.zip").write_bytes(b"another")
    capsys.readouterr()
    assert main(["data", "fetch", "g", "--from", str(elsewhere)]) == 4
    assert "data/a.zip: something else is at its place" in capsys.readouterr().err
    assert (root / "data" / "a.zip").read_bytes() == b"a"


def test_a_wrong_archive_elsewhere_is_neither_linked_nor_touched(root, archives, tmp_path_factory, capsys):
    pin_all(root, archives, "http://127.0.0.1:9")
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    wrong = archives["val2017.zip"][:-1] + b"x"
    (elsewhere / "val2017.zip").write_bytes(wrong)
    assert main(["data", "fetch", "val2017", "--from", str(elsewhere / "val2017.zip")]) == 4
    message = capsys.readouterr().err
    assert "val2017.zip: digest is" in message
    assert "not adopted" in message
    assert (elsewhere / "val2017.zip").read_bytes() == wrong
    assert not (root / "data" / "archives" / "val2017.zip").exists()
    (elsewhere / "val2017.zip").write_bytes(wrong[:100])
    assert main(["data", "fetch", "val2017", "--from", str(elsewhere)]) == 4
    assert "has 100 bytes but datasets.dvc pins" in capsys.readouterr().err
    (elsewhere / "val2017.zip").unlink()
    assert main(["data", "fetch", "val2017", "--from", str(elsewhere)]) == 4
    assert "holds nothing of val2017; looked for val2017.zip" in capsys.readouterr().err


def test_an_unpacked_coco_elsewhere_is_adopted_if_its_counts_are_official(root, tmp_path_factory, capsys):
    content = b"never downloaded"
    meta = "url: 'http://127.0.0.1:9/val2017.zip', layout: val2017/*.jpg"
    (root / "datasets.dvc").write_text("outs:\n" + out("data/archives/val2017.zip", content, meta))
    elsewhere = tmp_path_factory.mktemp("coco")
    images = elsewhere / "val2017"
    images.mkdir()
    for number in range(4999):
        (images / f"{number:012d}.jpg").touch()
    assert main(["data", "fetch", "coco-val", "--from", str(elsewhere)]) == 4
    assert "holds 4999 images, officially 5000" in capsys.readouterr().err
    assert not (root / "data").exists()
    (images / "000000004999.jpg").write_bytes(b"x")
    assert main(["data", "fetch", "coco-val", "--from", str(elsewhere)]) == 0
    assert (root / "data" / "coco" / "val2017").resolve() == images
    assert "adopted" in capsys.readouterr().out
    assert main(["data", "fetch", "coco-val"]) == 0
    with pytest.raises(DataError, match="cannot be compared"):
        verified_digest("val2017")
    assert verified_digest("val2017", allow_unpinned=True).endswith(".dir")


def test_what_needs_a_login_is_described(root, capsys):
    (root / "datasets.dvc").write_bytes((REPOSITORY / "datasets.dvc").read_bytes())
    assert main(["data", "fetch", "youtube-vis-2021"]) == 4
    message = capsys.readouterr().err
    assert (
        "data/archives/youtube_vis_2021/train.zip: absent; get it from https://youtube-vos.org/dataset/vis/" in message
    )
    assert "login" in message
    assert "and 2 more" in message


def videos_zip(root: Path, count: int) -> Path:
    path = root / "data/archives/youtube_vis_2021/valid.zip"
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for video in range(count):
            for frame in range(2):
                archive.writestr(f"valid/JPEGImages/{video:04d}/{frame:05d}.jpg", b"")
        archive.writestr("valid/instances.json", "{}")
    return path


def test_pinning_measures_after_the_counts_were_compared(root, capsys):
    known = root / "datasets.dvc"
    known.write_bytes((REPOSITORY / "datasets.dvc").read_bytes())
    before = known.read_text()
    assert main(["data", "pin", "youtube_vis_2021_valid"]) == 4
    assert "absent" in capsys.readouterr().err
    videos_zip(root, 420)
    assert main(["data", "pin", "youtube_vis_2021_valid"]) == 4
    assert "holds 420 videos, officially 421" in capsys.readouterr().err
    assert known.read_text() == before
    path = videos_zip(root, 421)
    assert examine(load_pins()["youtube_vis_2021_valid"]).status == "unpinned"
    assert main(["data", "pin", "youtube_vis_2021_valid"]) == 0
    assert "421 videos, 842 frames" in capsys.readouterr().out
    pinned = load_pins()["youtube_vis_2021_valid"]
    assert pinned.md5 == hashlib.md5(path.read_bytes()).hexdigest()
    assert pinned.size == path.stat().st_size
    assert verified_digest("youtube_vis_2021_valid") == pinned.md5
    changed = set(known.read_text().splitlines()) ^ set(before.splitlines())
    assert {line.strip("- ").split(":")[0] for line in changed} == {"md5", "size", "path"}
    assert main(["data", "pin", "val2017"]) == 2
    assert "already pinned" in capsys.readouterr().err
    assert main(["data", "pin", "nothing"]) == 2


def test_a_list_in_place_of_annotations_is_neither_pinned_nor_linked(root, tmp_path_factory, capsys):
    (root / "datasets.dvc").write_bytes((REPOSITORY / "datasets.dvc").read_bytes())
    path = root / "data" / "youtube_vis_2019" / "valid.json"
    path.parent.mkdir(parents=True)
    path.write_text("[]")
    assert main(["data", "pin", "youtube_vis_2019_valid_annotations"]) == 2
    assert "must hold an object, not a list; is it a results file?" in capsys.readouterr().err
    annotations = tmp_path_factory.mktemp("coco") / "annotations"
    annotations.mkdir()
    for split in ("train", "val"):
        (annotations / f"instances_{split}2017.json").write_text("[]")
    assert main(["data", "fetch", "annotations_trainval2017", "--from", str(annotations.parent)]) == 2
    assert "must hold an object, not a list" in capsys.readouterr().err


def test_a_deliberately_changed_generator_gets_a_new_pin(root, capsys):
    (root / "datasets.dvc").write_bytes((REPOSITORY / "datasets.dvc").read_bytes())
    folder = root / "data" / "shapes"
    folder.mkdir(parents=True)
    (folder / "a.txt").write_text("other content")
    assert main(["data", "verify"]) == 4
    assert main(["data", "pin", "shapes"]) == 0
    capsys.readouterr()
    assert main(["data", "verify"]) == 0
    assert load_pins()["shapes"].nfiles == 1


def test_health_of_the_real_samples(root, shared_data):
    videos = shared_data / "ytvis_mini"
    report = check_health("youtube-vis", videos / "valid.json", videos / "valid" / "JPEGImages", deep=True)
    assert report.well
    text = report.text()
    assert "4 videos, 85 frames, 6 tracks" in text
    assert "the 40 of YouTube-VIS 2019" in text
    assert check_health("youtube-vis", videos / "valid.json", videos / "valid" / "JPEGImages", deep=True) == report


@pytest.mark.parametrize(
    ("change", "what", "words"),
    [
        (
            lambda content, folder: (folder / "0001" / "00002.png").unlink(),
            "files",
            "1 are missing, first 0001/00002.png",
        ),
        (lambda content, folder: (folder / "0000" / "00001.png").write_bytes(b"x"), "images", "1 faults, first"),
        (lambda content, folder: content["videos"][0].update(height=64), "images", "8 faults"),
        (
            lambda content, folder: content["annotations"][0]["segmentations"].__setitem__(
                0, {"size": [128, 192], "counts": [128 * 192]}
            ),
            "masks",
            "empty mask",
        ),
        (
            lambda content, folder: content["annotations"][0].update(segmentations=[None] * 8),
            "tracks",
            "track 1 is seen in no frame",
        ),
        (
            lambda content, folder: content.update(
                categories=[{"id": k, "name": "person" if k == 40 else f"n{k}"} for k in range(1, 41)]
            ),
            "categories",
            "neither",
        ),
    ],
)
def test_health_finds(root, small_shapes, tmp_path_factory, change, what, words):
    folder = tmp_path_factory.mktemp("damaged") / "val"
    shutil.copytree(small_shapes / "val", folder)
    annotations = small_shapes / "annotations" / "youtube_vis_val.json"
    assert require_health("youtube-vis", annotations, folder).well
    content = json.loads(annotations.read_text())
    change(content, folder)
    path = folder.parent / "val.json"
    path.write_text(json.dumps(content))
    report = check_health("youtube-vis", path, folder, deep=True)
    assert not report.well
    check = next(check for check in report.checks if check.what == what)
    assert not check.well
    assert words in check.detail
    assert f"BAD  {what}" in report.text()
    with pytest.raises(DataError, match=what):
        require_health("youtube-vis", path, folder)


def test_health_of_files_that_are_all_absent_is_not_well(root, small_shapes, tmp_path):
    (tmp_path / "empty").mkdir()
    report = check_health("youtube-vis", small_shapes / "annotations" / "youtube_vis_val.json", tmp_path / "empty")
    found = {check.what: check for check in report.checks}
    for what in ("images", "masks"):
        assert not found[what].well
        assert found[what].detail == "none looked at, since no file is there"
        assert f"BAD  {what}" in report.text()


def test_the_remedy_for_what_is_damaged_after_unpacking_works(root, archives, capsys):
    pin_all(root, archives, "http://127.0.0.1:9")
    (root / "data" / "archives").mkdir(parents=True)
    for name, content in archives.items():
        (root / "data" / "archives" / name).write_bytes(content)
    assert main(["data", "unpack", "coco-val"]) == 0
    coco = root / "data" / "coco"
    annotations, images = coco / "annotations" / "instances_val2017.json", coco / "val2017"
    next(images.iterdir()).unlink()
    assert main(["data", "fetch", "coco-val"]) == 4
    assert "or remove the folder that was unpacked and run 'data unpack'" in capsys.readouterr().err
    shutil.rmtree(images)
    assert main(["data", "unpack", "coco-val"]) == 0
    assert require_health("coco", annotations, images).well
