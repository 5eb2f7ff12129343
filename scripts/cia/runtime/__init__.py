"""What every job does around its work, and what a run does around its jobs."""
