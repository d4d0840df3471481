"""The kinds of error, what each one means, and the oracle that undoes it.

A detection (an instance of an image, or a track of a video) that the official matching at IoU 0.5 counts as a false
positive is of exactly one kind, the first of its task whose condition holds; an object that is not found and that no
detection would find if it were corrected is missed. Objects marked as crowd take part in matching only.

With ``own`` the largest IoU with an object of the detection's category, ``other`` that with an object of any other
category, the kinds of images are, in the order they are tried:

======================  ==================================  ==========================================================
localisation            0.1 <= own <= 0.5                   the mask becomes the object's
classification          other >= 0.5                        the category becomes the object's
duplicate               own > 0.5 (the object is taken)     removed
background              own, other <= 0.1                   removed
both                    everything else                     removed
missed                  an object, see above                the object is no longer asked for
======================  ==================================  ==========================================================

An oracle makes a detection a true positive only if its object is still free, and for each object only the detection
with the highest score; the others are removed. All this is TIDE's, down to which side of a threshold counts; only the
cap of 100 detections is COCO's, for each category of an image, so that the AP50 at the foot of the ladder is the
official one.

For tracks, IoU is the one of YouTube-VIS (pixels summed over frames), and localisation has three kinds, tried from the
cheapest oracle to the dearest. ``IoU over frames F`` sums intersections and unions over F only.

identity switch
    On some frames the track follows another object: one with a frame IoU of at least 0.5 that is the largest there.
    Without those frames its IoU with its own object is at least 0.5. The oracle splits the track there and links its
    own part through.
temporal miss
    The IoU over the frames that show both track and object is at least 0.5: the masks are right, but the track is
    absent where the object is not, or the other way round. (IoU = that spatial IoU x temporal coverage, which is the
    share of the union that lies on those frames.) The oracle gives the track the object's frames.
spatial
    The rest: even where both are there, the masks differ too much. The oracle gives it the object's masks.
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
