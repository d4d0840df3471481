"""The split of YouTube-VIS train that is held out here, because the servers that scored valid are closed."""

from __future__ import annotations

LOCAL_VALID = "local-valid"
"""Split name on record of the videos of YouTube-VIS train that are held out here, because valid cannot be scored."""

LOCAL_TRAIN = "local-train"
"""The other videos of train; weights that are judged on `LOCAL_VALID` were trained on nothing else of train."""

VALID_VIDEOS = {"youtube-vis-2019": 302, "youtube-vis-2021": 421}
"""Number of videos in the official valid split of each year, and so in `LOCAL_VALID`."""
