"""Importing: datasets of other forms, their splits, and pictures that they hold twice."""
