"""The recordings that the demo trains on and replays. Source and terms: NOTICE.md."""

from importlib.resources import as_file, files
from typing import Literal

import numpy as np
from numpy.lib.recfunctions import structured_to_unstructured
from numpy.typing import NDArray

CHANNELS = ("ax", "ay", "az", "gx", "gy", "gz")
RATE_HZ = 10
READINGS = 100
"""Readings in a recording."""

Recordings = dict[str, NDArray[np.float64]]
"""Activity -> (recordings, READINGS, channels)."""


def load(split: Literal["train", "test"]) -> Recordings:
    """Return the recordings of one split, by activity."""
    columns = [("split", "U5"), ("activity", "U9"), ("recording", "i4")] + [(name, "f8") for name in CHANNELS]
    with as_file(files(__package__) / "basic_motions.csv") as path:
        rows = np.loadtxt(path, delimiter=",", skiprows=1, dtype=columns)
    rows = rows[rows["split"] == split]
    values = structured_to_unstructured(rows[list(CHANNELS)])
    return {
        str(activity): values[rows["activity"] == activity].reshape(-1, READINGS, len(CHANNELS))
        for activity in np.unique(rows["activity"])
    }
