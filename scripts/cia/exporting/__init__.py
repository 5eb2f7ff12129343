"""Training sets and synthetic images in the formats of other programs."""
