"""One module per kind of training data: ``DATASETS``, the names that recipes use, and ``open_source``."""
