"""At which levels days to deliver are foretold and kept."""

from typing import Final

LEVELS: Final = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
