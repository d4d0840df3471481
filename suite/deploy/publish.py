"""Weights as others find them: a folder, or a repository of Hugging Face, with a model card that says what they are."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import yaml

from reference_model.config import HUB_WEIGHTS, ModelConfig, config_to_dict
from reference_model.mobileinst import MobileInst
from suite.accuracy.mask_ap import score_coco
from suite.accuracy.predict import predict_dataset
from suite.accuracy.segmenter import ReferenceSegmenter, open_checkpoint
from suite.datasets.categories import Categories
from suite.datasets.coco import CocoDataset
from suite.errors import DataError, InputError
from suite.files import atomic_path, file_digest, write_json, write_text
from suite.paths import shown

HUB = "hf:"
PAPER = "https://arxiv.org/abs/2303.17594"
TRAINING_CARD = "MODEL_CARD.md"


@dataclass(frozen=True)
class Score:
    """Mask AP that was measured for a card.

    Attributes:
        mask_ap: in [0, 1].
        dataset: the annotations file's name.
        pictures: how many.
        digest: SHA-256 of the annotations.
    """

    mask_ap: float
    dataset: str
    pictures: int
    digest: str


def measured(model: MobileInst, categories: Categories | None, annotations: Path, images: Path) -> Score:
    """Score a model on annotated pictures.

    Raises:
        InputError: if a file is not what it should be.
        DataError: if a picture is absent.
    """
    dataset = CocoDataset.load(annotations, images, truth=False)
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results.json"
        predict_dataset(ReferenceSegmenter(model, model.config, categories=categories), dataset, results)
        ap = score_coco(annotations, results).stats["AP"]
    return Score(ap, annotations.name, len(dataset.images), file_digest(annotations))


def front_matter(config: ModelConfig, dataset: str, licence: str, score: Score | None) -> str:
    """Return the block of YAML that Hugging Face reads a card's facts from."""
    facts: dict[str, object] = {
        "license": licence,
        "library_name": "mobileinst-suite",
        "pipeline_tag": "image-segmentation",
        "tags": ["instance-segmentation", "video-instance-segmentation", "mobileinst", "arxiv:2303.17594"],
    }
    if score is not None:
        result = {
            "task": {"type": "image-segmentation"},
            "dataset": {"name": score.dataset, "type": dataset},
            "metrics": [{"name": "mask AP", "type": "mask_ap", "value": round(100 * score.mask_ap, 2)}],
        }
        facts["model-index"] = [{"name": config.name, "results": [result]}]
    return f"---\n{yaml.safe_dump(facts, sort_keys=False)}---\n"


def card_text(checkpoint: Path, name: str, licence: str, score: Score | None) -> str:
    """Return the card: facts, how to load the weights, their score, and the card that training wrote beside them.

    Args:
        checkpoint: the weights; their card is ``NAME.md`` or ``MODEL_CARD.md`` in the same folder, else made from what
            the checkpoint says.
        name: what the weights are loaded by.
        licence: of the weights, as SPDX writes it in small letters.
        score: None where nothing was scored.

    Raises:
        InputError: if the file is no checkpoint.
    """
    model, metadata = open_checkpoint(checkpoint)
    dataset = metadata.get("dataset", "unknown data")
    cards = (checkpoint.with_suffix(".md"), checkpoint.with_name(TRAINING_CARD))
    found = next((card.read_text(encoding="utf-8") for card in cards if card.is_file()), None)
    if found is None:
        lines = [f"# {model.config.name}, trained on {dataset}", "", "| | |", "|---|---|"]
        lines += [f"| {key} | `{value}` |" for key, value in sorted(metadata.items())]
        found = "\n".join(lines) + "\n"
    title, _, rest = found.partition("\n")
    scored = "Not scored when it was published."
    if score is not None:
        scored = (
            f"Mask AP {100 * score.mask_ap:.1f} on the {score.pictures} pictures of `{score.dataset}` "
            f"(SHA-256 `{score.digest}`), measured when it was published."
        )
    use = f'```python\nfrom reference_model import load\n\nmodel = load("{name}")\nresult = model("photo.jpg")\n```'
    about = (
        f"MobileInst ([paper]({PAPER})) for instance segmentation of pictures and videos. Trained on {dataset}; "
        f"licence of the weights: {licence}. {scored}"
    )
    head = front_matter(model.config, dataset, licence, score)
    return f"{head}\n{title}\n\n{about}\n\n{use}\n{rest}"


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
        InputError: if a file is not what it should be, or the folder holds other weights.
        DataError: if Hugging Face refuses.
        ModuleNotFoundError: if a repository is named and huggingface_hub is not installed.
    """
    model, metadata = open_checkpoint(checkpoint)
    score = measured(model, Categories.of_checkpoint(metadata, checkpoint), *pictures) if pictures else None
    repository = to.removeprefix(HUB)
    if to == repository:
        name = str(Path(to) / HUB_WEIGHTS)
        _write(checkpoint, model.config, card_text(checkpoint, name, licence, score), Path(to))
        return shown(Path(to))
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HFValidationError

    with tempfile.TemporaryDirectory() as folder:
        _write(checkpoint, model.config, card_text(checkpoint, repository, licence, score), Path(folder))
        try:
            api = HfApi()
            address = api.create_repo(repository, private=private, exist_ok=True)
            api.upload_folder(repo_id=repository, folder_path=folder, commit_message=f"Publish {model.config.name}")
        except HFValidationError as error:
            raise InputError(f"{to}: {error}; name it hf:user/repo") from None
        except OSError as error:
            raise DataError(
                f"{to}: Hugging Face refuses ({error}); log in with 'hf auth login' and try again"
            ) from None
    return str(address)


def _write(checkpoint: Path, config: ModelConfig, card: str, folder: Path) -> None:
    """Write the layout of a Hugging Face repository."""
    weights = folder / HUB_WEIGHTS
    if weights.is_file() and file_digest(weights) != file_digest(checkpoint):
        raise InputError(f"{weights}: other weights are there; name another folder or remove them")
    if not weights.is_file():
        with atomic_path(weights) as temporary:
            shutil.copyfile(checkpoint, temporary)
    write_json(folder / "config.json", {"model_type": "mobileinst", **json.loads(json.dumps(config_to_dict(config)))})
    write_text(folder / "README.md", card)
