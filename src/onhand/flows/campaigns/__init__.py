"""Assess campaigns in the background, accept them, cancel them. Start reading at run.py."""
