"""The tables of docs/model.md and docs/decisions.md against the code they describe."""

from __future__ import annotations

import dataclasses
import importlib
import re
from pathlib import Path

import pytest
import torch

from reference_model.config import ModelConfig, get_config
from reference_model.counts import count, total
from reference_model.mobileinst import MobileInst

ROOT = Path(__file__).resolve().parents[2]


def table(document: str, heading: str) -> list[list[str]]:
    """Return the body rows of the first table below a heading."""
    text = (ROOT / "docs" / document).read_text(encoding="utf-8")
    section = text.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    assert rows
    return rows


@pytest.fixture(scope="module")
def shapes() -> dict[str, list[str]]:
    """Every output shape of mobileinst_topformer_base_640 at 640x640, by submodule, traced without computing."""
    with torch.device("meta"):
        model = MobileInst(get_config("mobileinst_topformer_base_640")).eval()
        images = torch.zeros(1, 3, 640, 640)
    found: dict[str, list[str]] = {"images": ["1x3x640x640"]}

    def note(name: str, output: object) -> None:
        parts = output if isinstance(output, tuple | list) else (output,)
        found[name] = ["x".join(map(str, part.shape)) for part in parts if isinstance(part, torch.Tensor)]

    for name, module in model.named_modules():
        module.register_forward_hook(lambda _module, _inputs, output, name=name: note(name, output))
    with torch.no_grad():
        for prefix, output in (("encode", model.encode(images)), ("forward", model(images))):
            for field, value in output._asdict().items():
                note(f"{prefix}.{field}", value)
    return found


def test_tensor_shapes(shapes: dict[str, list[str]]) -> None:
    for _, _, where, shape in table("model.md", "Tensors at 640x640"):
        assert shapes[where.strip("`")] == shape.split(", "), where


def test_paper_to_code() -> None:
    for _, file, names in table("model.md", "Paper to code"):
        module = importlib.import_module(file.strip("`").removesuffix(".py").replace("/", "."))
        first, *rest = names.strip("`").split(".")
        # Defined there and not merely imported there.
        assert getattr(module, first).__module__ == module.__name__, names
        target = getattr(module, first)
        for name in rest:
            target = getattr(target, name)


def test_counts_in_prose() -> None:
    text = " ".join((ROOT / "docs" / "model.md").read_text(encoding="utf-8").split())
    with torch.device("meta"):
        counts = count(MobileInst(get_config("mobileinst_topformer_base_640")), 640, 640)
    whole = total(counts)
    assert f"{whole.parameters / 1e6:.3f} M parameters and {whole.macs / 1e9:.3f} GMACs" in text
    for module, name in (("backbone", "backbone"), ("mask_decoder", "mask decoder")):
        assert f"the {name} {counts[module].parameters / 1e6:.3f} M and {counts[module].macs / 1e9:.3f} G" in text
    assert 0.009 < counts["instance_decoder"].macs / whole.macs < 0.02


def test_every_option_has_its_decision() -> None:
    rows = {row[0].strip("`"): row for row in table("decisions.md", "Model and training: fields of `ModelConfig`")}
    fields = {field.name: field for field in dataclasses.fields(ModelConfig)}
    assert set(rows) == set(fields) - {"name", "num_classes"}
    for name, (_, default, choices, _, source) in rows.items():
        assert default.strip("`") == str(fields[name].default), name
        assert source, name
        annotation = ModelConfig.__annotations__[name]
        literal = getattr(importlib.import_module("reference_model.config"), str(annotation), None)
        if literal is not None and hasattr(literal, "__args__"):
            documented = {default.strip("`"), *re.findall(r"`([^`]+)`", choices)}
            assert documented == {str(choice) for choice in literal.__args__}, name


def test_named_arguments_exist() -> None:
    for _, where, *_ in table("decisions.md", "Inference and video: arguments"):
        match = re.fullmatch(r"`(?:(\w+)\.)?(\w+)(?:\.(\w+))?(?:\((\w+)=\.\.\.\))?`", where)
        assert match, where
        module_name, name, attribute, argument = match.groups()
        if module_name is None or module_name[0].isupper():
            # Written without its module: `OnlineTracker.scores`.
            module_name, name, attribute = None, module_name or name, name if module_name else attribute
        candidates = [module_name] if module_name else ["tracking", "query_passing"]
        modules = [importlib.import_module(f"reference_model.{candidate}") for candidate in candidates]
        owner = next(getattr(module, name) for module in modules if hasattr(module, name))
        target = owner
        if attribute is not None:
            names = {field.name for field in dataclasses.fields(owner)} if dataclasses.is_dataclass(owner) else set()
            assert attribute in names or hasattr(owner, attribute), where
            target = getattr(owner, attribute, owner)
        if argument is not None:
            function = target.__init__ if isinstance(target, type) else target
            function = getattr(function, "__wrapped__", function)
            assert argument in function.__code__.co_varnames[: function.__code__.co_argcount], where
