"""Chance without spread: every jittered wait takes its mean.

A drill performs a scenario for real and holds the outcome against its rehearsal. One draw of a jittered rest may decide
whether ten requests meet a trial, and the draws of two processes are never the same ones; so both get this source, and
what is left between them is what one of them does not model. Choices between targets are drawn as ever. Never for
production: jitter is what keeps many gateways from returning at one instant.
"""

import random


class Steady(random.Random):
    """A source of chance whose `uniform` is the middle of its range."""

    def uniform(self, a: float, b: float) -> float:
        """The mean of what it would have drawn."""
        return (a + b) / 2
