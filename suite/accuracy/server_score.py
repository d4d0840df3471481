"""A server's answer as a record of origin "server", with the answer itself kept as its receipt."""

from __future__ import annotations

import datetime
import re
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from suite.accuracy.record_lines import COCO_METRICS, YOUTUBE_VIS_METRICS
from suite.accuracy.server_answer import Answer, read_answer, typed_answer
from suite.accuracy.submission_checks import COCO_NAME
from suite.datasets.splits import SPLITS, Split, find_split
from suite.errors import DataError, InputError
from suite.files import file_digest, read_json, write_bytes
from suite.paths import shown
from suite.records.provenance import start_run
from suite.records.receipts import RECEIPT, receipt_path
from suite.records.schema import METRICS, Artifact, Dataset, Measurement, Scalar, Subject
from suite.records.store import read_folder, writing

HELD_BY_SERVER = "ground truth held by the server"
"""Stands for the dataset's digest: nobody outside can compute it."""

READABLE = (".txt", ".json", ".log", ".html")
"""Receipts that keep their ending; others end in ``.bin``."""


@dataclass(frozen=True)
class ServerScore:
    """Who scored what, as the user states it.

    Attributes:
        dataset: name on record, e.g. ``"coco"``, ``"youtube-vis-2021"``.
        split: ``"test-dev2017"``, ``"valid"``, ...
        model: the scored model's name.
        server: the server's name.
        date: day of the answer, ``YYYY-MM-DD``.
        submission: the package that was handed in.
        answer: the file with the server's answer.
        url: address of the server or of the answer.
        checkpoint: the model's weights.
        protocol: ``NAME.protocol.json`` that `predict` wrote beside the results.
        metrics: numbers typed by the user, where the answer is in no known form.
    """

    dataset: str
    split: str
    model: str
    server: str
    date: str
    submission: Path
    answer: Path
    url: str | None = None
    checkpoint: Path | None = None
    protocol: Path | None = None
    metrics: Sequence[str] = ()


@dataclass(frozen=True)
class Imported:
    """What was stored: the record, its receipt, the numbers by metric and what a reader must know."""

    run_id: str
    record: str
    receipt: str
    receipt_sha256: str
    values: dict[str, float | None]
    cautions: tuple[str, ...]


def _checked_split(given: ServerScore) -> Split:
    split = find_split(given.dataset, given.split)
    if split is None:
        known = ", ".join(f"{item.dataset} {item.name}" for item in SPLITS)
        raise InputError(f"--dataset {given.dataset} --split {given.split}: no official split; known: {known}")
    return split


def _check_date(text: str) -> None:
    try:
        day = datetime.date.fromisoformat(text)
    except ValueError:
        raise InputError(f"--date {text}: no day; write it as YYYY-MM-DD") from None
    if day > datetime.datetime.now(datetime.UTC).date():
        raise InputError(f"--date {text}: lies in the future; give the day of the server's answer")


def _require_file(path: Path, what: str) -> None:
    if not path.is_file():
        raise DataError(f"{shown(path)}: no such {what}; check the path")


def _check_submission(path: Path, split: Split) -> None:
    """Refuse a COCO package that is named for another split than the answer is said to be for."""
    _require_file(path, "submission")
    if split.task != "coco" or not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            found = COCO_NAME.fullmatch(Path(name).stem)
            if found and found["split"] != split.name:
                raise InputError(f"{shown(path)}: holds {name}, which is not for {split.name}; give the right --split")


def _answer(given: ServerScore, split: Split) -> Answer:
    _require_file(given.answer, "answer of a server")
    if given.metrics:
        return typed_answer(given.metrics)
    answer = read_answer(given.answer)
    if answer.form == "pairs" and split.name == "test-dev2017":
        raise InputError(
            f"{shown(given.answer)}: scores.txt of COCO's test-dev phase held the numbers of val2017; give stdout.txt, "
            "or type the numbers of test-dev with --metric"
        )
    return answer


def _read_protocol(path: Path | None) -> dict[str, Scalar]:
    if path is None:
        return {}
    content = read_json(path, "protocol file")
    protocol = content.get("protocol") if isinstance(content, dict) else None
    if not isinstance(protocol, dict) or not all(
        value is None or isinstance(value, bool | int | float | str) for value in protocol.values()
    ):
        raise InputError(f"{shown(path)}: no 'protocol' in it; give the .protocol.json that predict wrote")
    return dict(protocol)


def _refuse_repetition(records: Path, sha256: str, given: ServerScore) -> None:
    for file in read_folder(records)[0]:
        same_receipt = any(item.name == RECEIPT and item.sha256 == sha256 for item in file.artifacts)
        datasets = [(line.dataset.name, line.dataset.split) for line in file.measurements if line.dataset]
        if same_receipt and (given.dataset, given.split) in datasets:
            raise InputError(f"{shown(given.answer)}: stored already by {file.path.name}; nothing to do")


@contextmanager
def _kept(answer: Path, receipt: Path) -> Iterator[None]:
    """Keep a copy of the answer if the block ends well."""
    try:
        write_bytes(receipt, answer.read_bytes())
        try:
            yield
        except BaseException:
            receipt.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise InputError(f"{shown(receipt)}: cannot be written ({error.strerror}); check folder and space") from None


def import_score(given: ServerScore, records: Path) -> Imported:
    """Store a server's answer.

    Args:
        given: what was scored and by whom.
        records: folder of records; the receipt goes into ``receipts/`` in it.

    Raises:
        DataError: if a file is absent.
        InputError: if the answer cannot be read, is about something else or is stored already, or an option is bad.
    """
    split = _checked_split(given)
    _check_date(given.date)
    if given.url is not None and not re.match(r"https?://\S+$", given.url):
        raise InputError(f"--url {given.url}: no address; it starts with http:// or https://")
    _check_submission(given.submission, split)
    answer = _answer(given, split)
    receipt_sha256 = file_digest(given.answer)
    _refuse_repetition(records, receipt_sha256, given)
    if given.checkpoint is not None:
        _require_file(given.checkpoint, "checkpoint")
    subject = Subject(given.model, file_digest(given.checkpoint) if given.checkpoint else None)
    protocol: dict[str, Scalar] = {
        **_read_protocol(given.protocol),
        "task": split.task,
        "server": given.server,
        "server_url": given.url,
        "answered_on": given.date,
        "answer_form": answer.form,
        "submission_sha256": file_digest(given.submission),
    }
    amount = {"images": split.units} if split.task == "coco" else {"videos": split.units}
    dataset = Dataset(given.dataset, given.split, HELD_BY_SERVER, pinned=False, **amount)
    run = start_run("server-score")
    ending = given.answer.suffix if given.answer.suffix in READABLE else ".bin"
    receipt = receipt_path(records, f"{run.run_id}{ending}")
    metrics = COCO_METRICS if split.task == "coco" else YOUTUBE_VIS_METRICS
    values: dict[str, float | None] = {}
    with _kept(given.answer, receipt), writing(run, records) as record:
        for name, metric in metrics.items():
            if name not in answer.stats:
                continue
            value = None if answer.stats[name] < 0 else answer.stats[name]
            values[metric] = value
            reason = None if value is not None else "undefined according to the server"
            record.add(Measurement(metric, value, subject, protocol, dataset, origin="server", reason=reason))
        caption = f"Answer of {given.server} of {given.date} for {given.dataset} {given.split}, byte for byte."
        record.add(Artifact(RECEIPT, shown(receipt), receipt_sha256, subject, caption))
    return Imported(
        run.run_id,
        shown(records / f"{run.run_id}.jsonl"),
        shown(receipt),
        receipt_sha256,
        values,
        _cautions(given, split),
    )


def _cautions(given: ServerScore, split: Split) -> tuple[str, ...]:
    found = []
    if given.checkpoint is None:
        found.append("without --checkpoint nobody knows which weights were scored: the ledger does not use this score")
    if split.public:
        found.append(f"the ground truth of {split.dataset} {split.name} is public: score it here to see more")
    return tuple(found)


def summary(imported: Imported) -> str:
    """Return what was stored as text for a person."""
    numbers = ", ".join(
        f"{METRICS[metric].label} {'undefined' if value is None else f'{100 * value:g}'}"
        for metric, value in imported.values.items()
    )
    return f"{imported.record}: {numbers} (origin server)\nreceipt: {imported.receipt}, {imported.receipt_sha256}"
