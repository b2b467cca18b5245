"""Hypothesis strategies for schedules; needs the package ``hypothesis``."""

from __future__ import annotations

from .._explore.strategies import drawn as drawn
from .._explore.strategies import schedules as schedules
