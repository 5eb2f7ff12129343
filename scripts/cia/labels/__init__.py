"""Labels: what a line of a label file is, and the labels of a whole split."""
