"""The library of the CIA workflow: pure functions, no Snakemake in it."""
