"""Pictures and videos of anybody: what words name, frames of generated clips, and the command over them."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco_mask

from reference_model.images import Thresholds, detect
from reference_model.tracking import OnlineTracker
from reference_model.weights import load_checkpoint, save_checkpoint
from suite.accuracy.sources import Source, find_sources, open_source, writing_video
from suite.cli import main
from suite.datasets.categories import METADATA_KEY, Categories
from suite.datasets.shapes_scene import CATEGORIES
from suite.errors import DataError, InputError, SuiteError
from suite.models import get_entry
from suite.models.parts.synthetic import draw_weights

torch.set_num_threads(1)

THRESHOLD = 0.2
HOLD = """
import sys, time
from pathlib import Path
from suite.locks import claimed
with claimed(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(100)
"""
Frames = list[NDArray[np.uint8]]


def picture(number: int, height: int = 96, width: int = 130) -> NDArray[np.uint8]:
    """Return a smooth picture with a bright square that moves with the number."""
    rows, columns = np.mgrid[:height, :width]
    pixels = np.stack([rows * 2, columns, (rows + columns) // 2], axis=-1).clip(0, 255).astype(np.uint8)
    pixels[20:60, 10 + 6 * number : 50 + 6 * number] = (240, 80, 40)
    return pixels


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model: Any = get_entry("mobileinst_topformer_tiny_shapes").build(3)
    torch.manual_seed(3)
    draw_weights(model)  # some confident queries
    path = tmp_path_factory.mktemp("weights") / "model.safetensors"
    save_checkpoint(path, model, model.config, {METADATA_KEY: Categories(tuple(range(1, 7)), CATEGORIES).text()})
    return path


@pytest.fixture
def predict(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, Any, str]]:
    """Run the command and return exit code, the JSON object on standard out, and standard error."""

    def run(*words: object) -> tuple[int, Any, str]:
        given = [str(word) for word in words]
        options = ["--checkpoint", str(checkpoint), "--score-threshold", str(THRESHOLD), "--json"]
        code = main(["predict", *given, *options])
        captured = capsys.readouterr()
        return code, json.loads(captured.out) if captured.out else None, captured.err

    return run


def write_clip(path: Path, frames: Frames, codec: str = "MJPG") -> None:
    height, width = frames[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*codec), 12.0, (width, height))
    assert writer.isOpened()
    for frame in frames:
        writer.write(np.ascontiguousarray(frame[..., ::-1]))
    writer.release()


def read_clip(path: Path) -> Frames:
    (source,) = find_sources([str(path)])
    return [frame for frame in open_source(source).each if not isinstance(frame, SuiteError)]


def decoded(item: dict[str, Any]) -> NDArray[np.bool_]:
    return np.asarray(coco_mask.decode(item["segmentation"]), bool)


def test_words_name_files_folders_patterns_and_cameras(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("b10.PNG", "b9.jpg", "clip.mp4", "notes.txt"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    inside = [source.name for source in find_sources(["."])]
    assert inside == ["b9.jpg", "b10.PNG", "clip.mp4"]
    assert [source.name for source in find_sources(["b*.*"])] == inside[:2]
    assert [source.name for source in find_sources([str(tmp_path / "c*")])] == [str(tmp_path / "clip.mp4")]
    assert [source.video for source in find_sources(["0", "2"])] == [0, 2]
    (clip, video) = find_sources(["."], frames_of_clips=True)
    assert [path.name for path in clip.pictures] == inside[:2]
    assert clip.clip
    assert video.video is not None
    with pytest.raises(InputError, match=r"notes\.txt"):
        find_sources(["notes.txt"])
    for absent in ("missing.jpg", "*.gif"):
        with pytest.raises(DataError) as error:
            find_sources([absent])
        assert absent in str(error.value)


def test_a_written_clip_has_its_frames_and_an_interrupted_one_leaves_nothing(tmp_path: Path) -> None:
    frames = [picture(number) for number in range(7)]
    path = tmp_path / "clips" / "clip.mp4"
    with writing_video(path, 12.0) as add:
        for number, frame in enumerate(frames):
            add(frame, number / 12.0)
    read = read_clip(path)
    assert len(read) == len(frames)
    for frame, expected in zip(read, frames, strict=True):
        assert frame.shape == expected.shape
        assert np.abs(frame.astype(int) - expected).mean() < 6  # a lossy codec

    def interrupted() -> None:
        with writing_video(path.with_name("other.mp4"), 12.0) as add:
            add(frames[0], 0.0)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [item.name for item in path.parent.iterdir()] == ["clip.mp4"]


def test_pictures_have_the_detections_of_the_model(predict: Any, checkpoint: Path, tmp_path: Path) -> None:
    for number in range(2):
        Image.fromarray(picture(number)).save(tmp_path / f"{number}.png")
    (tmp_path / "broken.png").write_bytes((tmp_path / "0.png").read_bytes()[:90])
    code, found, errors = predict(tmp_path, "--save", tmp_path / "drawn")
    assert code == 0
    assert [skipped["source"] for skipped in found["skipped"]] == [str(tmp_path / "broken.png")]
    assert "broken.png" in errors
    model, _ = load_checkpoint(checkpoint)
    assert len(found["sources"]) == 2
    for number, source in enumerate(found["sources"]):
        expected = detect(model, picture(number), model.config, Thresholds(score=THRESHOLD))
        expected = [item for item in expected if item.score >= THRESHOLD]
        assert 0 < len(expected) == len(source["instances"])
        for item, other in zip(source["instances"], expected, strict=True):
            assert item["score"] == pytest.approx(other.score, abs=1e-5)
            assert np.array_equal(decoded(item), other.mask)
            assert item["bbox"] == coco_mask.toBbox(item["segmentation"]).tolist()
            assert (item["category_id"], item["category"]) == (other.class_index + 1, CATEGORIES[other.class_index])
        with Image.open(source["drawn"]) as drawn:
            assert (drawn.width, drawn.height) == (480, round(96 * 480 / 130))
            plain = Image.fromarray(picture(number)).resize(drawn.size, Image.Resampling.BICUBIC)
            assert np.abs(np.asarray(drawn).astype(int) - np.asarray(plain)).mean() > 1
    written = json.loads((tmp_path / "drawn" / "instances.json").read_text())
    assert written == found


@pytest.mark.parametrize(("interval", "association"), [(1, True), (3, False)])
def test_a_clip_has_the_tracks_of_the_model_and_its_mp4_all_frames(
    predict: Any, checkpoint: Path, tmp_path: Path, interval: int, association: bool
) -> None:
    write_clip(tmp_path / "clip.avi", [picture(number) for number in range(6)])
    frames = read_clip(tmp_path / "clip.avi")
    options = ["--key-frame-interval", interval, "--association" if association else "--no-association"]
    code, found, errors = predict(tmp_path / "clip.avi", "--save", tmp_path / "drawn", *options)
    assert code == 0
    assert "frames/s" in errors
    (source,) = found["sources"]
    assert source["frames_per_s"] == pytest.approx(12)
    model, _ = load_checkpoint(checkpoint)
    thresholds = Thresholds(score=THRESHOLD)
    tracker = OnlineTracker(model, model.config, interval, association, thresholds=thresholds)
    numbers: dict[int, int] = {}
    assert len(source["frames"]) == len(frames)
    for frame, seen in zip(source["frames"], map(tracker.push, frames), strict=True):
        expected = [item for item in seen.instances if item.score >= THRESHOLD]
        assert frame["key_frame"] == seen.is_key_frame == (seen.frame_index % interval == 0)
        assert 0 < len(expected) == len(frame["instances"])
        for item, other in zip(frame["instances"], expected, strict=True):
            assert item["track"] == numbers.setdefault(other.track_index, len(numbers) + 1)
            assert np.array_equal(decoded(item), other.mask)
    drawn = read_clip(Path(source["drawn"]))
    assert len(drawn) == len(frames)
    assert drawn[0].shape[1] == 480


def test_frames_of_a_folder_are_a_clip_and_one_of_another_size_is_named(predict: Any, tmp_path: Path) -> None:
    for number in range(4):
        Image.fromarray(picture(number, width=100 if number == 2 else 130)).save(tmp_path / f"{number}.png")
    code, found, errors = predict(tmp_path, "--frames", "--max-frames", 3)
    assert code == 0
    assert [frame["frame"] for frame in found["sources"][0]["frames"]] == [0, 1]
    assert len(found["skipped"]) == 1
    assert "frame 2" in errors


def test_a_clip_that_was_cut_short_gives_what_it_has_and_says_so(predict: Any, tmp_path: Path) -> None:
    path = tmp_path / "clip.avi"
    write_clip(path, [picture(number % 8) for number in range(40)])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    code, found, errors = predict(path)
    assert code == 0
    assert 5 < len(found["sources"][0]["frames"]) < 35
    assert [skipped["source"] for skipped in found["skipped"]] == [str(path)]
    assert str(path) in errors


def test_what_is_read_is_never_drawn_over(predict: Any, tmp_path: Path) -> None:
    Image.fromarray(picture(0)).save(tmp_path / "a.png")
    write_clip(tmp_path / "b.mp4", [picture(number) for number in range(3)])
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    code, found, _ = predict(tmp_path, "--save", tmp_path)
    assert (code, {path: path.read_bytes() for path in before}) == (0, before)
    assert [Path(source["drawn"]).name for source in found["sources"]] == ["a-2.png", "b-2.mp4"]
    (tmp_path / "b-2.mp4").unlink()
    os.mkfifo(tmp_path / "b-2.mp4")
    assert predict(tmp_path / "b.mp4", "--save", tmp_path)[0] == 2
    assert (tmp_path / "b-2.mp4").is_fifo()


def test_only_what_was_drawn_before_is_drawn_over_and_it_is_no_source(
    predict: Any, refused: Any, tmp_path: Path
) -> None:
    Image.fromarray(picture(0)).save(tmp_path / "a.jpg")
    Image.fromarray(picture(1)).save(tmp_path / "a.png")
    own = (tmp_path / "a.png").read_bytes()
    for _ in range(2):
        code, found, _ = predict(tmp_path / "*.jpg", "--save", tmp_path)
        assert (code, found["sources"][0]["drawn"]) == (0, str(tmp_path / "a-2.png"))
        code, found, _ = predict(tmp_path, "--save", tmp_path)
        assert [Path(source["drawn"]).name for source in found["sources"]] == ["a-2.png", "a-3.png"]
    code, found, _ = predict("--frames", tmp_path, "--save", tmp_path)
    assert (code, len(found["sources"][0]["frames"])) == (0, 2)
    (tmp_path / f"{tmp_path.name}.mp4").unlink()
    assert (tmp_path / "a.png").read_bytes() == own
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "a-2.png",
        "a-3.png",
        "a.jpg",
        "a.png",
        "instances.json",
    ]
    (tmp_path / "instances.json").write_text("[1]")
    assert predict(tmp_path / "*.jpg", "--save", tmp_path)[0] == 2
    assert (tmp_path / "instances.json").read_text() == "[1]"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_the_drawings_of_an_ended_command_are_known_to_the_next(
    checkpoint: Path, predict: Any, tmp_path: Path, number: signal.Signals
) -> None:
    names = [f"{place}.png" for place in range(9)]
    for name in names:
        Image.fromarray(picture(0)).save((tmp_path / name).with_suffix(".jpg"))
    words = [sys.executable, "-m", "suite", "predict", tmp_path, "--save", tmp_path, "--checkpoint", checkpoint]
    with subprocess.Popen(list(map(str, words)), stderr=subprocess.PIPE) as running:
        while not (tmp_path / names[1]).exists():
            assert running.poll() is None
            time.sleep(0.02)
        time.sleep(0.05)  # until it is noted
        running.send_signal(number)
        running.communicate()
    assert running.returncode == (130 if number == signal.SIGINT else -signal.SIGKILL)
    if number == signal.SIGINT:
        written = json.loads((tmp_path / "instances.json").read_text())
        assert 1 <= len(written["sources"]) < len(names)
    (tmp_path / names[-1]).write_text("mine, and not drawn by the one that was ended")
    code, found, _ = predict(tmp_path / "*.jpg", tmp_path / "0.png", "--save", tmp_path)
    assert (code, [Path(source["drawn"]).name for source in found["sources"]]) == (0, [*names[:-1], "8-2.png"])
    assert (tmp_path / names[-1]).read_text().startswith("mine")
    assert len(list(tmp_path.iterdir())) == 2 * len(names) + 2


def test_the_work_is_finished_when_nobody_reads_the_progress_any_more(checkpoint: Path, tmp_path: Path) -> None:
    for place in range(4):
        Image.fromarray(picture(place)).save(tmp_path / f"{place}.jpg")
    words = [sys.executable, "-m", "suite", "predict", tmp_path, "--save", tmp_path, "--checkpoint", checkpoint]
    with subprocess.Popen(list(map(str, words)), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as running:
        assert running.stderr is not None
        running.stderr.close()
    assert running.returncode == 0
    assert len(json.loads((tmp_path / "instances.json").read_text())["sources"]) == 4


def test_a_drawing_that_cannot_be_noted_is_not_left(
    predict: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(picture(0)).save(tmp_path / "a.jpg")
    usual = Path.open

    def full(path: Path, *words: Any, **options: Any) -> Any:
        if path.name.endswith(".drawn"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return usual(path, *words, **options)

    monkeypatch.setattr(Path, "open", full)
    assert predict(tmp_path, "--save", tmp_path)[0] == 2
    assert [path.name for path in tmp_path.iterdir()] == ["a.jpg"]


def test_a_frame_stays_in_the_mp4_until_the_next_is_due(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    with writing_video(path, 10.0) as add:
        for number, at_s in enumerate((0.0, 0.1, 0.5, 100.0, 100.1)):
            add(picture(6 * number % 13), at_s)
    shown = [int(np.abs(frame.astype(int) - picture(6)).mean() < 6) for frame in read_clip(path)]
    # Four times the second frame, and the third no longer than a pause may take.
    assert shown[:7] == [0, 1, 1, 1, 1, 0, 0]
    assert len(shown) == 5 + 3 + 100


def test_a_clip_of_one_pixel_is_drawn(tmp_path: Path) -> None:
    with writing_video(tmp_path / "clip.mp4", 10.0) as add:
        for number in range(3):
            add(np.full((1, 9, 3), 200, np.uint8), number / 10)
    assert [frame.shape for frame in read_clip(tmp_path / "clip.mp4")] == [(2, 18, 3)] * 3


def test_frames_that_have_no_time_or_come_too_soon_keep_the_order(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    with writing_video(path, 10.0) as add:
        for number, at_s in enumerate((0.0, 0.02, 0.04, 0.1, 0.2)):
            add(picture(number), at_s)
    assert len(read_clip(path)) == 3


@pytest.mark.parametrize(("suffix", "codec"), [("avi", "MJPG"), ("mkv", "MJPG"), ("wmv", "WMV2")])
def test_a_clip_is_cut_short_where_its_container_says_so(tmp_path: Path, suffix: str, codec: str) -> None:
    path = tmp_path / f"clip.{suffix}"
    write_clip(path, [picture(number % 8) for number in range(40)], codec)
    whole = path.read_bytes()
    for share in (1.0, 0.9, 0.6):
        path.write_bytes(whole[: int(share * len(whole))])
        (*frames, last) = open_source(Source(str(path), video=path)).each
        assert frames
        assert isinstance(last, SuiteError) == (share < 1)


def test_a_clip_of_damaged_bytes_is_cautioned_of(predict: Any, tmp_path: Path) -> None:
    write_clip(tmp_path / "a.mp4", [picture(number % 8) for number in range(40)], "mp4v")
    whole = bytearray((tmp_path / "a.mp4").read_bytes())
    start = whole.index(b"mdat")
    whole[start + 3000 : whole.index(b"moov") - 8] = bytes(whole.index(b"moov") - 8 - start - 3000)
    (tmp_path / "a.mp4").write_bytes(whole)
    code, found, errors = predict(tmp_path / "a.mp4")
    read = len(found["sources"][0]["frames"])
    assert (code, read < 20, f"{read} of 40" in errors) == (0, True, True)


def test_what_follows_the_last_box_of_a_whole_clip_is_no_part_of_it(predict: Any, tmp_path: Path) -> None:
    write_clip(tmp_path / "a.mp4", [picture(number) for number in range(4)], "mp4v")
    with (tmp_path / "a.mp4").open("ab") as stream:
        stream.write(b"GPSDATA 2024 x=1 y=2\n")
    code, found, _ = predict(tmp_path / "a.mp4")
    assert (code, len(found["sources"][0]["frames"]), found["skipped"]) == (0, 4, [])


def test_a_link_in_the_folder_leads_nowhere(predict: Any, tmp_path: Path) -> None:
    Image.fromarray(picture(0)).save(tmp_path / "a.png")
    (tmp_path / "drawn").mkdir()
    (tmp_path / "theirs").write_text("theirs")
    (tmp_path / "drawn" / ".instances.json.holder").symlink_to(tmp_path / "theirs")
    assert predict(tmp_path / "a.png", "--save", tmp_path / "drawn")[0] == 0
    assert (tmp_path / "theirs").read_text() == "theirs"


def test_one_command_at_a_time_draws_into_a_folder(predict: Any, tmp_path: Path) -> None:
    Image.fromarray(picture(0)).save(tmp_path / "a.png")
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "drawn" / "instances.json")], stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    holder.stdout.readline()
    assert predict(tmp_path / "a.png", "--save", tmp_path / "drawn")[0] == 2
    holder.kill()
    holder.communicate()
    assert predict(tmp_path / "a.png", "--save", tmp_path / "drawn")[0] == 0
    assert sorted(path.name for path in (tmp_path / "drawn").iterdir()) == ["a.png", "instances.json"]


def test_a_clip_has_any_name_that_is_utf8(predict: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_clip(tmp_path / "a.mp4", [picture(0)])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.mp4").rename("12:30.mp4")
    assert predict("12:30.mp4")[0] == 0
    Path("12:30.mp4").rename(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.mp4"))
    code, _, errors = predict(tmp_path)
    assert code == 3
    assert "caf\\udce9.mp4" in errors


def test_what_cannot_be_read_at_all_ends_with_its_exit_code(predict: Any, refused: Any, tmp_path: Path) -> None:
    # FFmpeg would wait for what a session description announces on the network.
    session = ("v=0", "o=- 0 0 IN IP4 127.0.0.1", "s=x", "c=IN IP4 127.0.0.1", "t=0 0", "m=video 5004 RTP/AVP 96", "")
    (tmp_path / "clip.mp4").write_text("\n".join(session))
    (tmp_path / "notes.txt").touch()
    started = time.monotonic()
    code, found, errors = predict(tmp_path / "clip.mp4", "--save", tmp_path / "drawn")
    assert (code, found, time.monotonic() < started + 25) == (3, None, True)
    assert "clip.mp4" in errors
    assert not (tmp_path / "drawn").exists()
    write_clip(tmp_path / "real.mp4", [picture(0)])
    (tmp_path / "list.webm").write_text("ffconcat version 1.0\nfile real.mp4\n")
    assert predict(tmp_path / "list.webm")[0] == 3
    assert predict(tmp_path / "notes.txt")[0] == 2
    assert predict(tmp_path / "missing.png")[0] == 4
    Image.fromarray(picture(0)).save(tmp_path / "0.png")
    refused(["predict", tmp_path / "0.png", "--checkpoint", tmp_path / "absent.safetensors"], 2)
    refused(["predict", tmp_path / "0.png", "--threads", "99999999"], 2)
    refused(["predict", "9" * 20], 4)
