"""Evidence: did the added images help, and how many real ones are they worth?

A study trains each arm with the same seeds and tests all of them on the same pictures. Here are the
statistics, as functions of what the models said about each test picture; `results` reads that.
"""
