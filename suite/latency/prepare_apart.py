"""Prepares a model in a process of its own, so that what the export needs is given back before the next one."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from suite.errors import InputError
from suite.latency.prepare import PreparedModel, prepare_model


def prepare_apart(name: str, **options: Any) -> PreparedModel:
    """Do what `suite.latency.prepare.prepare_model` does, in a fresh process that ends afterwards.

    torch's exporter needs up to 4 GB for a network of 800x1344 px and leaves 1 to 2 GB behind in its process, which a
    run of many models would keep while it times.

    Args:
        name: a model of ``suite/models``.
        **options: of `prepare_model`.

    Raises:
        InputError: as `prepare_model` does, or if the system ended the process, as it does when memory runs out.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as executor:
        try:
            return executor.submit(prepare_model, name, **options).result()
        except BrokenProcessPool:
            raise InputError(
                f"{name}: the system ended the process that exported it; make sure that 4 GB of memory are free"
            ) from None
