"""Renderers of `suite.report.table.Table`: one module per format, each with ``render(table) -> str``."""
