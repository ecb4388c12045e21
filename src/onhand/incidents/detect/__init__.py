"""Detectors: one file for each question, arrays in, findings out. What each does is in docs/how-to/detectors.md."""
