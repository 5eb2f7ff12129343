"""Metrics of a set of synthetic images against the real one (DTD, distribution to distribution)."""
