"""Variations: condition maps with other geometry than the real pictures', and their labels."""
