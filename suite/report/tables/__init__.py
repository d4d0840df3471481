"""The tables of the report: one module per table, found by folder.

A module defines ``build(evidence: Evidence) -> Table``; the table's name is its files' name. Modules whose name starts
with an underscore are shared helpers.
"""
