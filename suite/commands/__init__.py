"""One module per command; `suite.cli` finds them by folder."""
