"""The published multi-item online fulfilment instances, a reference engine for them, and two lower bounds."""
