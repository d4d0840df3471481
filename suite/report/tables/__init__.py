"""The tables of the report: pure functions of the evidence, one a table; `suite.report.render.TABLES` lists them."""
