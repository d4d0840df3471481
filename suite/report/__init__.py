"""The report: pure functions of claims and records. Nothing here measures, and nothing here imports torch."""
