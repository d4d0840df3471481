from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from reference_model.losses import mean_over_ranks

WORKER = """
import sys, torch
from reference_model.losses import mean_over_ranks
rank, store = int(sys.argv[1]), sys.argv[2]
torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
print(mean_over_ranks([7, 2][rank], torch.device("cpu")), mean_over_ranks(0, torch.device("cpu")))
torch.distributed.destroy_process_group()
"""


def test_without_other_ranks_the_count_itself_at_least_one() -> None:
    assert [mean_over_ranks(count, "cpu") for count in (0, 1, 5)] == [1, 1, 5]


def test_two_ranks_agree_on_the_mean_number_of_instances(tmp_path: Path) -> None:
    environment = os.environ | {"GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(rank), str(tmp_path / "store")],
            cwd=Path(__file__).resolve().parents[2],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        assert [rank.communicate(timeout=90)[0].split() for rank in ranks] == [["4.5", "1.0"]] * 2
    finally:
        for rank in ranks:
            rank.kill()
