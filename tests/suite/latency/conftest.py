from __future__ import annotations

import msgspec
import pytest

from suite.latency.device import Protocol, load_device


@pytest.fixture
def quick() -> Protocol:
    """The host's standard protocol, short: about a tenth of a second per millisecond of work."""
    return msgspec.structs.replace(
        load_device("host").protocol(), min_samples=40, min_duration_s=0.02, max_duration_s=10.0, attempts=1
    )
