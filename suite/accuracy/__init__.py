"""Accuracy: model -> results file -> score."""
