"""The figures of the report: one module per figure, found by folder.

A module defines ``draw(evidence: Evidence) -> Figure | None`` (None where there is no data for it); the module's name
is the files' name. Modules whose name starts with an underscore are shared helpers.
"""
