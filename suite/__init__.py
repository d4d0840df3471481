"""A benchmark and reproducibility suite for MobileInst (AAAI 2024, arXiv 2303.17594)."""

__version__ = "0.1.0"
