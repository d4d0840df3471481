from __future__ import annotations

import pytest

from suite.text_table import TextColumn, text_table

COLUMNS = [TextColumn("model"), TextColumn("what it is for"), TextColumn("CPU / anchor", number=True)]
ROWS = [
    ("mobileinst_topformer_tiny_shapes", "the embedded set, quick to train", "0.790 [0.788, 0.794]"),
    ("[bold]yolact[/bold]", "", "INVALID"),
]


@pytest.mark.parametrize("width", [100, 80, 60, 45])
def test_lines_fit_numbers_are_never_broken_and_words_are_all_there(width: int) -> None:
    lines = text_table(COLUMNS, ROWS, width)
    assert max(map(len, lines)) <= width
    assert sum("0.790 [0.788, 0.794]" in line for line in lines) == 1
    assert sum(line.endswith("INVALID") for line in lines) == 1


def test_words_are_wrapped_before_they_are_broken() -> None:
    lines = text_table(COLUMNS, ROWS, 80)
    words = {word for line in lines for word in line.split()}
    assert {"mobileinst_topformer_tiny_shapes", "embedded", "train", "[bold]yolact[/bold]"} <= words
