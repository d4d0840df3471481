"""How the held-out videos are scored; needs no torch, so that the report can name the settings."""

from suite.datasets.video_traits import TRAITS

KEY_FRAME_INTERVALS = (1, 3, 6)
VIDEO_SETTINGS = tuple((interval, association) for association in (True, False) for interval in KEY_FRAME_INTERVALS)
"""(kernel-reuse length T, association), in the order they are scored."""

TRAIT_METRICS = {trait: f"video_ap_{trait}" for trait in TRAITS}
"""Trait of a video -> metric of the video AP over the videos that have it."""
