# SPDX-License-Identifier: MIT
"""The work: features of each block of a signal, by numpy and by Python in turns."""

from collections.abc import Iterable

import numpy as np

BLOCK = 1024  # values
FEATURES = ("mean", "deviation", "lower quartile", "upper quartile", "bursts", "longest burst")
LOUD = 1.5  # times the deviation
GAP = 4  # values that are not loud end a burst


def longest_burst(places: Iterable[int]) -> tuple[int, int]:
    """Return how many bursts there are, and how long the longest one is; of places in order."""
    count = longest = 0
    first = last = -GAP - 1
    for place in places:
        if place - last > GAP:
            count += 1
            first = place
        last = place
        if last - first >= longest:
            longest = last - first + 1
    return count, longest


def describe(block: np.ndarray) -> tuple[float, ...]:
    """Return the features of one block."""
    mean, deviation = block.mean(), block.std()
    ordered = np.partition(block, (BLOCK // 4, BLOCK * 3 // 4))
    loud = np.flatnonzero(np.abs(block - mean) > LOUD * deviation)
    quartiles = ordered[BLOCK // 4], ordered[BLOCK * 3 // 4]
    return (mean, deviation, *quartiles, *longest_burst(loud.tolist()))


def extract(signal: np.ndarray, found: np.ndarray) -> None:
    """Write the features of each block of `signal` into a row of `found`."""
    for number, row in enumerate(found):
        row[:] = describe(signal[number * BLOCK : (number + 1) * BLOCK])
