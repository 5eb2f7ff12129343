"""Judges: scores that look at the images themselves, shard by shard."""
