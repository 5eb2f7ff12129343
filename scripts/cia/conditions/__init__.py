"""Condition maps: what a ControlNet is shown of a picture."""
