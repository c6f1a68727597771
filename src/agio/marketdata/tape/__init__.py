"""Recorded markets in files: opening them safely, checking them whole, reading them as a stream."""
