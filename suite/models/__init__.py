"""One module per runnable method; `discover` finds them by folder."""
