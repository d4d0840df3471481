"""Counting under emulation: a program whose instructions are known, blocks by hand, and what a machine lacks."""

from __future__ import annotations

import json
import math
import shutil
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from suite.cli import main
from suite.errors import NOTHING_MEASURED, USAGE, DataError, InputError
from suite.latency.estimate import counting
from suite.latency.estimate import tools as tools_module
from suite.latency.estimate.cycles import Cycles, is_loop, model_cycles
from suite.latency.estimate.emulation import joined, read_blocks, run_emulated
from suite.latency.estimate.tools import Tools, compile_plugin, describe_machine, load_pins

Capsys = pytest.CaptureFixture[str]
NEEDED = ("qemu-aarch64", "llvm-mca-19", "llvm-mc-19", "gcc")
emulates = pytest.mark.skipif(
    not all(map(shutil.which, NEEDED)), reason=f"needs {', '.join(NEEDED)}: apt-get install qemu-user llvm-19 gcc"
)

# aarch64: what is called "yield" is the system call sched_yield (124); 93 is exit.
YIELD, EXIT = (0xD2800F88, 0xD4000001), (0xD2800000, 0xD2800BA8, 0xD4000001)
TURNS = 1000
LOOP = (0xF1000400, 0x54FFFFE1)  # subs x0, x0, #1; b.ne to the line before
COUNTED = (0xD2800000 | TURNS << 5, *LOOP)  # mov x0, #TURNS; LOOP


def write_program(path: Path, words: tuple[int, ...]) -> Path:
    """Write a static aarch64 Linux program of some instruction words."""
    code = struct.pack(f"<{len(words)}I", *words)
    start, base = 120, 0x400000
    header = struct.pack(
        "<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 2, 183, 1, base + start, 64, 0, 0, 64, 56, 1, 0, 0, 0
    )
    size = start + len(code)
    path.write_bytes(header + struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, size, size, 0x1000) + code)
    path.chmod(0o755)
    return path


def small_graph(shape: list[int | str]) -> onnx.ModelProto:
    """A rectifier of an image of a shape, whose sides are open where they have names."""
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("image", "out")]
    graph = helper.make_graph([helper.make_node("Relu", ["image"], ["out"])], "graph", values[:1], values[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    (tmp_path / "root").mkdir()
    found = Tools(NEEDED[0], NEEDED[1], NEEDED[2], tmp_path, {"qemu": "here"})
    compile_plugin(found.plugin)
    return found


@emulates
def test_a_program_is_counted_to_the_instruction_between_its_two_yields(tmp_path: Path, tools: Tools) -> None:
    program = write_program(tmp_path / "program", (*COUNTED, *YIELD, *COUNTED, *YIELD, *COUNTED, *EXIT))
    blocks = run_emulated(tools, [str(program)], 60)
    # The first turn runs in the block that sets the counter; the last block is the second call's own.
    assert blocks == {COUNTED: 1, LOOP: TURNS - 1, YIELD: 1}
    cycles = model_cycles(tools, "neoverse-n1", blocks)
    assert cycles.instructions == 3 + 2 * (TURNS - 1) + 2
    assert cycles.loop_share == pytest.approx(2 * (TURNS - 1) / cycles.instructions)
    assert 1 <= cycles.cycles / TURNS <= 2  # one turn depends on the one before by a subtraction of one cycle
    assert cycles.hottest[0][:2] == (2, TURNS - 1)


@emulates
@pytest.mark.parametrize("words", [(*COUNTED, *EXIT), (*YIELD, *COUNTED, *EXIT), (0,)])
def test_a_program_without_two_yields_or_that_dies_is_refused(
    words: tuple[int, ...], tmp_path: Path, tools: Tools
) -> None:
    with pytest.raises(InputError):
        run_emulated(tools, [str(write_program(tmp_path / "program", words))], 60)


@emulates
def test_emulated_programs_are_told_of_the_same_machine_everywhere(tmp_path: Path) -> None:
    describe_machine(load_pins(), tmp_path)
    sizes = [(tmp_path / f"sys/devices/system/cpu/cpu0/cache/index{n}/size").read_text().strip() for n in range(3)]
    assert sizes == ["64K", "64K", "512K"]


def test_blocks_that_the_translator_cut_are_joined_and_equal_ones_added_up() -> None:
    plain, branch = 0x8B010000, 0x54FFFFE1
    blocks = {
        (0x1000, (plain, plain)): 5,  # runs on into the next, as often
        (0x1008, (plain, branch)): 5,
        (0x2000, (plain,)): 3,  # runs on into a block that others enter too
        (0x2004, (branch,)): 7,
        (0x3000, (branch,)): 2,
    }
    whole = joined(blocks)
    assert whole == {(plain, plain, plain, branch): 5, (plain,): 3, (branch,): 9}
    before = sum(len(words) * runs for (_, words), runs in blocks.items())
    assert sum(len(words) * runs for words, runs in whole.items()) == before


@pytest.mark.parametrize(
    ("words", "loops"),
    [
        (LOOP, True),
        ((0x8B010000, *LOOP), False),  # back to its second instruction
        ((0x8B010000, 0xB5FFFFE0), True),  # cbnz x0 to the line before
        ((0x8B010000, 0x3707FFE0), True),  # tbnz w0, #0 to the line before
        ((0x8B010000, 0x54000041), False),  # forwards
        ((0x8B010000, 0x17FFFFFF), False),  # unconditional
    ],
)
def test_a_loop_is_a_conditional_branch_to_the_blocks_own_start(words: tuple[int, ...], loops: bool) -> None:
    assert is_loop(words) is loops


def test_a_cut_off_file_of_counts_is_named(tmp_path: Path) -> None:
    (tmp_path / "counts").write_text("1000 5 8b010000\n1008\n")
    with pytest.raises(DataError, match="line 2"):
        read_blocks(tmp_path / "counts")


@pytest.mark.parametrize("words", [["estimate", "--set-up"], ["gate", "--cycles"]])
def test_missing_tools_end_in_3_with_the_two_lines_that_bring_them(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capsys
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["latency", *words]) == NOTHING_MEASURED
    error = capsys.readouterr().err
    assert all(word in error for word in (*tools_module.PACKAGES, "--set-up"))


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ([], "--program"),
        (["--program", "absent"], "absent"),
        (["--program", __file__, "--name", "mobileinst_topformer_base_512"], "--name"),
        (["--onnx", f"{__file__}:mobileinst_topformer_base_512"], "--onnx"),
        (["--onnx", "absent.onnx"], "absent.onnx"),
        (["--models", "x", "y"], "y"),
        (["--models", "absent"], "absent"),
        (["--models", "absent", "--precision", "fp8"], "fp8"),
        (["--models", "absent", "--core", "abacus"], "cortex_a78"),
        (["--program", __file__, "--size", "64x64"], "--size"),
    ],
)
def test_nothing_to_count_is_a_usage_error(words: list[str], named: str, refused: Any) -> None:
    assert named in refused(["latency", "estimate", *words], USAGE)


def test_every_size_of_a_graph_has_its_own_count_and_its_folder_gets_no_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capsys
) -> None:
    """The layer is the same for every size; the emulator's place is taken by a count of pixels."""

    def pixels(tools: Tools, words: Sequence[str], limit_s: float, environment: dict[str, str]) -> int:
        return math.prod(map(int, words[-1].split("x")[:2]))

    monkeypatch.setenv("MOBILEINST_SUITE_ROOT", str(tmp_path / "root"))
    monkeypatch.setattr(counting, "find_tools", lambda: Tools("", "", "", tmp_path, {"qemu": "here"}))
    monkeypatch.setattr(counting, "run_emulated", pixels)
    monkeypatch.setattr(counting, "model_cycles", lambda tools, model, count: Cycles(count, count, 1.0, 1, 1.0))
    folder = tmp_path / "graphs"
    folder.mkdir()
    words = ["latency", "estimate", "--precision", "fp32", "--json"]
    for side in (32, 64):
        onnx.save(small_graph([1, 3, side, side]), folder / f"side{side}.onnx")
        words += ["--onnx", str(folder / f"side{side}.onnx")]
    for _ in range(2):  # counted, then read
        assert main(words) == 0
        results = json.loads(capsys.readouterr().out)["results"]
        found = [(one["model"], one["height_px"], one["width_px"], one["instructions"]) for one in results]
        assert found == [("side32", 32, 32, 1024), ("side64", 64, 64, 4096)]
    assert len(list((tmp_path / "root/runs/estimate").iterdir())) == 2
    assert len(list(folder.iterdir())) == 2


@pytest.mark.parametrize("shape", [[8, 3, 40, 40], ["batch", 3, 40, 40], [1, 3, "height", 40], [1], [], [1] * 6])
def test_inputs_that_are_no_batch_of_one_are_refused(
    shape: list[int | str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MOBILEINST_SUITE_ROOT", str(tmp_path / "root"))
    onnx.save(small_graph(shape), "graph.onnx")
    for command in ("estimate", "host"):
        assert "graph.onnx: its inputs are image" in refused(["latency", command, "--onnx", "graph.onnx"], USAGE)
    assert [path.name for path in tmp_path.iterdir()] == ["graph.onnx"]


@pytest.mark.parametrize("command", ["estimate", "host"])
def test_two_graphs_of_one_name_and_a_size_for_a_graph_are_refused(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MOBILEINST_SUITE_ROOT", str(tmp_path / "root"))
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        onnx.save(small_graph([1, 3, 32, 32]), f"{folder}/net.onnx")
    first, second = ["--onnx", "one/net.onnx"], ["--onnx", "two/net.onnx"]
    assert "two/net.onnx" in refused(["latency", command, *first, *second], USAGE)
    assert "--size" in refused(["latency", command, *first, "--size", "64x64"], USAGE)
    assert not (tmp_path / "root").exists()


@emulates
def test_a_users_program_is_estimated_under_the_names_the_user_gives(
    tmp_path: Path, tools: Tools, monkeypatch: pytest.MonkeyPatch, capsys: Capsys
) -> None:
    monkeypatch.setattr("suite.latency.estimate.counting.find_tools", lambda: tools)
    program = write_program(tmp_path / "program", (*YIELD, *COUNTED, *YIELD, *EXIT))
    words = ["--program", str(program), "--name", "loop", "--engine", "own", "--precision", "fp32", "--json"]
    assert main(["latency", "estimate", *words]) == 0
    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert (result["model"], result["engine"], result["precision"]) == ("loop", "own", "fp32")
    assert result["instructions"] == 2003
    assert result["latency_ms"] == pytest.approx(result["cycles"] / 2.4e6)
