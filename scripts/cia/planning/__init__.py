"""The plan: which synthetic images to make, each with its seed and prompt."""
