"""The kinds of error and what each one means; docs/errors.md defines them and the oracle that undoes each.

The kinds of images are those of TIDE (Bolya et al., ECCV 2020) on mask IoU, down to which side of a threshold counts;
only the cap of 100 detections is COCO's, for each category of an image, so that the ladder starts at the official AP50.
The kinds of videos extend them to tracks.
"""

from __future__ import annotations

from dataclasses import dataclass

FOREGROUND_IOU = 0.5
"""From here on a detection is on its object."""

BACKGROUND_IOU = 0.1
"""Up to here a detection has nothing to do with an object."""


@dataclass(frozen=True)
class Kind:
    """One kind of error.

    Attributes:
        name: its key in JSON and records.
        label: its name in tables and figures.
        meaning: what is wrong, in one clause.
        corrects: whether its oracle turns a detection into a true positive (else it removes).
    """

    name: str
    label: str
    meaning: str
    corrects: bool = False


CLASSIFICATION = Kind("classification", "classification", "on an object, but of another category", corrects=True)
LOCALISATION = Kind("localisation", "localisation", "the right category, but the mask misses too much", corrects=True)
IDENTITY_SWITCH = Kind("identity_switch", "identity switch", "the track goes over to another object", corrects=True)
TEMPORAL_MISS = Kind("temporal_miss", "temporal miss", "right masks, but not on the object's frames", corrects=True)
SPATIAL = Kind("spatial", "spatial", "the right object, but the masks miss too much of it", corrects=True)
BOTH = Kind("both", "both", "neither category nor mask is right")
DUPLICATE = Kind("duplicate", "duplicate", "the object is found already, with a higher score")
BACKGROUND = Kind("background", "background", "nothing annotated is there")
MISSED = Kind("missed", "missed", "an object that nothing found, not even nearly")

IMAGE_KINDS = (CLASSIFICATION, LOCALISATION, BOTH, DUPLICATE, BACKGROUND, MISSED)
VIDEO_KINDS = (CLASSIFICATION, IDENTITY_SWITCH, TEMPORAL_MISS, SPATIAL, BOTH, DUPLICATE, BACKGROUND, MISSED)
"""In the order of the ladder, and the report's."""

FALSE_POSITIVES = Kind("false_positives", "all false positives", "every wrong detection removed, recall as it is")
FALSE_NEGATIVES = Kind("false_negatives", "all false negatives", "only objects that were found are asked for")
SPECIAL_KINDS = (FALSE_POSITIVES, FALSE_NEGATIVES)
"""What perfect precision and perfect recall alone would bring."""

AS_SCORED = "as_scored"
"""Name of the start of the ladder in records: AP50 with nothing corrected."""
