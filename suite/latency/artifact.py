"""Ties the timed artifact to the scored one: its digest, and its outputs on one reference input."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from suite.errors import InputError
from suite.files import atomic_path, file_digest
from suite.latency.precision import external_files, read_graph
from suite.latency.runtime import Arrays, Session
from suite.latency.validity import Problem

INPUT_PREFIX, OUTPUT_PREFIX = "input/", "output/"


@dataclass(frozen=True)
class GraphArtifact:
    """An exported graph and what proves that it is the scored model.

    Attributes:
        path: the ONNX file.
        sha256: digest of the graph and its external weights when it was exported (`graph_digest`).
        reference: ``.npz`` with one input and the scored model's outputs on it (`write_reference`).
    """

    path: Path
    sha256: str
    reference: Path


def graph_digest(path: Path) -> str:
    """Return the SHA-256 of an ONNX file and, if it has any, of the files that hold its weights.

    Raises:
        InputError: if a file is missing or not ONNX.
    """
    names = external_files(read_graph(path))
    if not names:
        return file_digest(path)
    total = hashlib.sha256(file_digest(path).encode())
    for name in names:
        if not (path.parent / name).is_file():
            raise InputError(f"{path}: its weights {name} are not beside it; export it again")
        total.update(file_digest(path.parent / name).encode())
    return total.hexdigest()


def write_reference(path: Path, inputs: Arrays, outputs: Arrays) -> None:
    """Write one input and the scored model's outputs on it, for `output_problems`."""
    named = {f"{INPUT_PREFIX}{name}": value for name, value in inputs.items()}
    named |= {f"{OUTPUT_PREFIX}{name}": value for name, value in outputs.items()}
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **named)


def _difference(ours: NDArray[np.generic], reference: NDArray[np.generic]) -> float:
    if ours.shape != reference.shape:
        return float("inf")
    scale = max(float(np.abs(reference).max(initial=0.0)), 1e-12)
    difference = float(np.abs(ours.astype(np.float64) - reference.astype(np.float64)).max(initial=0.0)) / scale
    return difference if np.isfinite(difference) else float("inf")


def read_reference(artifact: GraphArtifact) -> tuple[dict[str, NDArray[np.generic]], dict[str, NDArray[np.generic]]]:
    """Return the reference input and the scored model's outputs on it, each by name.

    Raises:
        InputError: if the file cannot be read.
    """
    try:
        with np.load(artifact.reference, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{artifact.reference}: cannot read the reference outputs ({error}); export again") from None
    inputs = {name.removeprefix(INPUT_PREFIX): value for name, value in arrays.items() if name.startswith(INPUT_PREFIX)}
    outputs = {
        name.removeprefix(OUTPUT_PREFIX): value for name, value in arrays.items() if name.startswith(OUTPUT_PREFIX)
    }
    return inputs, outputs


def difference_problems(outputs: Arrays, reference: Arrays, name: str, limit: float) -> list[Problem]:
    """Compare outputs with the scored model's, wherever they were computed.

    Args:
        outputs: by name.
        reference: the scored model's, by name.
        name: how messages call the timed graph.
        limit: largest absolute difference of an output over the reference's largest magnitude.
    """
    problems = []
    for output, wanted in reference.items():
        difference = _difference(outputs[output], wanted) if output in outputs else float("inf")
        if difference > limit:
            problems.append(
                Problem(
                    "outputs_differ", f"{output} of {name} is off by {difference:.1e} of its range (limit {limit:.0e})"
                )
            )
    return problems


def output_problems(session: Session, artifact: GraphArtifact, limit: float) -> list[Problem]:
    """Compare digest and outputs of a loaded graph with those of the scored model.

    Args:
        session: the timed session itself.
        artifact: what it should be.
        limit: largest absolute difference of an output over the reference's largest magnitude.
    """
    problems = []
    digest = graph_digest(artifact.path)
    if digest != artifact.sha256:
        problems.append(
            Problem(
                "outputs_differ", f"{artifact.path.name} has sha256 {digest[:12]}, exported was {artifact.sha256[:12]}"
            )
        )
    inputs, reference = read_reference(artifact)
    return problems + difference_problems(session.run(inputs), reference, artifact.path.name, limit)
