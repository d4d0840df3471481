"""Weights as others find them: a folder, or a repository of Hugging Face, with a model card that says what they are."""

from __future__ import annotations

import tempfile
from pathlib import Path

import yaml

from reference_model.config import HUB_WEIGHTS, config_to_dict
from suite.accuracy.mask_ap import score_coco
from suite.accuracy.predict import predict_dataset
from suite.accuracy.segmenter import ReferenceSegmenter, open_checkpoint
from suite.datasets.coco import CocoDataset
from suite.errors import DataError, InputError, reason_of
from suite.files import copy_together, file_digest, read_text, refuse_foreign, write_json, write_text
from suite.paths import shown
from suite.training.run import CARD

HUB = "hf:"
PAPER = "https://arxiv.org/abs/2303.17594"
PUBLISHED_MARKS = {"README.md": b"library_name: mobileinst-suite", "config.json": b'"model_type":"mobileinst"'}
"""What the files beside published weights hold, by which they are known again."""


def _measured(checkpoint: Path, trained_on: str, annotations: Path, images: Path) -> tuple[dict[str, object], str]:
    """Score weights on annotated pictures; return the result as in Hugging Face's front matter, and as a sentence."""
    dataset = CocoDataset.load(annotations, images).require_scored()
    segmenter = ReferenceSegmenter.open(checkpoint)
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results.json"
        caution = predict_dataset(segmenter, dataset, results)
        ap = 100 * score_coco(annotations, results).stats["AP"]
    result: dict[str, object] = {
        "task": {"type": "image-segmentation"},
        "dataset": {"name": annotations.name, "type": trained_on},
        "metrics": [{"name": "mask AP", "type": "mask_ap", "value": round(ap, 2)}],
    }
    return result, (
        f"Mask AP {ap:.1f} on the {len(dataset.images)} pictures of `{annotations.name}` "
        f"(SHA-256 `{file_digest(annotations)}`), measured when it was published."
        + (f" Caution: {caution}." if caution else "")
    )


def _card_text(checkpoint: Path, name: str, licence: str, pictures: tuple[Path, Path] | None) -> str:
    """Return the card: facts, how to load the weights by ``name``, their score, and the card that training wrote.

    That one is ``NAME.md`` or ``MODEL_CARD.md`` beside the weights; where it is absent, the checkpoint's facts stand.
    """
    model, metadata = open_checkpoint(checkpoint)
    dataset = metadata.get("dataset", "unknown data")
    facts: dict[str, object] = {
        "license": licence,
        "library_name": "mobileinst-suite",
        "pipeline_tag": "image-segmentation",
        "tags": ["instance-segmentation", "video-instance-segmentation", "mobileinst", "arxiv:2303.17594"],
    }
    scored = "Not scored when it was published."
    if pictures is not None:
        result, scored = _measured(checkpoint, dataset, *pictures)
        facts["model-index"] = [{"name": model.config.name, "results": [result]}]
    cards = (checkpoint.with_suffix(".md"), checkpoint.with_name(CARD))
    found = next((read_text(card, "model card") for card in cards if card.is_file()), None)
    if found is None:
        lines = [f"# {model.config.name}, trained on {dataset}", "", "| | |", "|---|---|"]
        lines += [f"| {key} | `{value}` |" for key, value in sorted(metadata.items())]
        found = "\n".join(lines) + "\n"
    title, _, rest = found.partition("\n")
    use = f'```python\nfrom reference_model import load\n\nmodel = load("{name}")\nresult = model("photo.jpg")\n```'
    about = (
        f"MobileInst ([paper]({PAPER})) for instance segmentation of pictures and videos. Trained on {dataset}; "
        f"licence of the weights: {licence}. {scored}"
    )
    return f"---\n{yaml.safe_dump(facts, sort_keys=False)}---\n\n{title}\n\n{about}\n\n{use}\n{rest}"


def publish(
    checkpoint: Path, to: str, licence: str, pictures: tuple[Path, Path] | None = None, private: bool = False
) -> str:
    """Write weights, configuration and card into a folder, and send them to Hugging Face if that is asked for.

    Args:
        checkpoint: the weights.
        to: a folder, or ``hf:user/repo``.
        licence: of the weights.
        pictures: annotations and folder to score the weights on first; None scores nothing.
        private: whether a new repository is for its owner alone.

    Returns:
        Where they are.

    Raises:
        InputError: if a file is not what it should be, or the folder holds other weights or files.
        DataError: if Hugging Face refuses.
        NothingMeasuredError: if no object of the pictures is scored.
        ModuleNotFoundError: if a repository is named and huggingface_hub is not installed.
    """
    repository = to.removeprefix(HUB)
    if not repository:
        raise InputError("--to is empty; give a folder, or hf:user/repo")
    if to == repository:
        name = str(Path(to) / HUB_WEIGHTS)
        _refuse_others(checkpoint, Path(to))
        _write(checkpoint, _card_text(checkpoint, name, licence, pictures), Path(to))
        return shown(Path(to))
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HFValidationError

    with tempfile.TemporaryDirectory() as folder:
        _write(checkpoint, _card_text(checkpoint, repository, licence, pictures), Path(folder))
        try:
            api = HfApi()
            address = api.create_repo(repository, private=private, exist_ok=True)
            api.upload_folder(repo_id=repository, folder_path=folder, commit_message="Publish weights")
        except HFValidationError as error:
            raise InputError(f"{to}: {error}; name it hf:user/repo") from None
        except Exception as error:  # without a network, those of its HTTP client, which share no base with others
            raise DataError(
                f"{to}: Hugging Face refuses or cannot be reached ({reason_of(error)}); log in with 'hf auth login' "
                "and try again"
            ) from None
    return str(address)


def _refuse_others(checkpoint: Path, folder: Path) -> None:
    """Refuse a folder that holds other weights, or a card or configuration that was not written here."""
    weights = folder / HUB_WEIGHTS
    if weights.is_file() and file_digest(weights) != file_digest(checkpoint):
        raise InputError(f"{weights}: other weights are there; name another folder or remove them")
    for path, mark in ((folder / name, mark) for name, mark in PUBLISHED_MARKS.items()):
        refuse_foreign([path], path, mark)


def _write(checkpoint: Path, card: str, folder: Path) -> None:
    """Write the layout of a Hugging Face repository."""
    weights, config = folder / HUB_WEIGHTS, config_to_dict(open_checkpoint(checkpoint)[0].config)
    with tempfile.TemporaryDirectory() as name:
        about = {folder / file: Path(name) / file for file in ("config.json", "README.md")}
        write_json(Path(name) / "config.json", {"model_type": "mobileinst", **config})
        write_text(Path(name) / "README.md", card)
        copy_together(about if weights.is_file() else {weights: checkpoint, **about})
