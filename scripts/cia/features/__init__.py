"""Features: each picture as a row of numbers, from a network that has seen many others."""
