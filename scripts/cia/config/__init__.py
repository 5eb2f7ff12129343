"""The configuration: its checks, and what experiments and studies take. A dry run imports it."""
