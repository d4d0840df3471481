"""The commands the ledger tells a reader to type exist, with these options."""

from suite.cli import entry
from suite.report.evidence import load_evidence
from suite.report.ledger import build_ledger
from tests.suite.report.synthetic import RunMaker


def test_every_settling_command_is_one_the_suite_understands(maker: RunMaker):
    commands = {row.command for row in build_ledger(load_evidence(maker.folder)).rows if row.command}
    assert commands
    for text in commands:
        words = text.split()
        assert words[:3] == ["python", "-m", "suite"]
        group, context, rest = entry, None, words[3:]
        while hasattr(group, "get_command"):
            context = group.make_context(group.name, [rest[0]], parent=context, resilient_parsing=True)
            found = group.get_command(context, rest[0])
            assert found is not None, f"{text}: no command {rest[0]}"
            group, rest = found, rest[1:]
        known = {option for parameter in group.params for option in parameter.opts}
        assert {word for word in rest if word.startswith("--")} <= known, text
