"""Benchmarks: each module is one, run by `./agio bench NAME`."""
