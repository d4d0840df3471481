from __future__ import annotations

import os
from typing import Any

import pytest

from suite.errors import InputError
from suite.latency import prepare_apart as apart


def ends_at_once(name: str, **options: Any) -> None:
    """As the system ends a process when memory runs out."""
    os._exit(9)


def test_errors_of_the_preparing_process_come_back_as_they_are() -> None:
    with pytest.raises(InputError, match="nobody"):
        apart.prepare_apart("nobody")


def test_a_process_that_the_system_ends_is_an_error_of_that_model_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "prepare_model", ends_at_once)
    with pytest.raises(InputError, match="large: the system ended the process that exported it"):
        apart.prepare_apart("large")
