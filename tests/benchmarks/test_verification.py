"""How fast a large archive is verified, beside md5sum in CPU seconds, and how fast the second time (run with -s)."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from suite.datasets.pins import load_pins
from suite.datasets.state import examine
from suite.files import file_digest

SIZE_BYTES = 1_000_000_000


@pytest.fixture(scope="module")
def gigabyte(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gigabyte") / "big.zip"
    block = os.urandom(1_000_000)
    with path.open("wb") as stream:
        for _ in range(SIZE_BYTES // len(block)):
            stream.write(block)
    os.utime(path, (1_000_000_000, 1_000_000_000))
    file_digest(path, "md5")  # into the page cache, so that digests are compared and not disks
    return path


@pytest.mark.skipif(shutil.which("md5sum") is None, reason="needs md5sum to compare with")
@pytest.mark.benchmark(group="verify 1 GB")
def test_first_verification(gigabyte, benchmark):
    ours_s, md5sum_s = [], []

    def both() -> None:
        started_s = time.process_time()
        digest = file_digest(gigabyte, "md5")
        ours_s.append(time.process_time() - started_s)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        run = subprocess.run(["md5sum", str(gigabyte)], capture_output=True, text=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        md5sum_s.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        assert run.stdout.split()[0] == digest

    benchmark.pedantic(both, rounds=3)
    benchmark.extra_info["cpu_s"] = min(ours_s)
    benchmark.extra_info["md5sum_cpu_s"] = min(md5sum_s)
    benchmark.extra_info["share_of_md5sum_speed"] = min(md5sum_s) / min(ours_s)
    print(benchmark.extra_info)


@pytest.mark.benchmark(group="verify 1 GB again")
def test_second_verification(gigabyte, benchmark, monkeypatch):
    monkeypatch.setenv("MOBILEINST_SUITE_ROOT", str(gigabyte.parent))
    (gigabyte.parent / "datasets.dvc").write_text(
        f"outs:\n- path: big.zip\n  md5: '{file_digest(gigabyte, 'md5')}'\n  cache: false\n"
        "  meta: {group: g, url: 'http://127.0.0.1/'}\n"
    )
    pin = load_pins()["big"]
    examine(pin)
    assert benchmark(examine, pin).status == "verified"
