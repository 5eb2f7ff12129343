"""Datasets of other programs, read where they lie: pictures become links, labels YOLO's lines."""
