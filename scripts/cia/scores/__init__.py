"""Scores of each synthetic image against the real ones (PTD, point to distribution)."""
