"""The main jobs: the whole path on the embedded dataset, and the same path on real input."""
