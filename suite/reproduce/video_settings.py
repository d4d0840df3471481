"""How the held-out videos are scored: every kernel-reuse length, with association and without."""

from suite.report.ablation import KEY_FRAME_INTERVALS

VIDEO_SETTINGS = tuple((interval, association) for association in (True, False) for interval in KEY_FRAME_INTERVALS)
"""(kernel-reuse length T, association), in the order they are scored."""
