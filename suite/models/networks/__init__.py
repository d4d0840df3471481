"""Inference graphs of prior art, one method a file, rebuilt from public facts with random weights.

Each graph is a module whose ``forward`` takes one normalised image (1, 3, H, W) and returns a named tuple of tensors;
the names become those of the exported graph's outputs. Where the network stops before the masks, ``with_masks`` takes
the same image and returns the masks of `MASKS` instances too. No operator depends on the data.
"""

MASKS = 100
"""Instances whose masks a graph with masks makes: what every query-based method makes in any case."""
