"""Measurements against peers: each module runs alone as `python -m benchmarks.NAME`."""
