"""Forecasts that are made, kept and judged: in the background, on demand and every day. Start reading at run.py."""
