"""Venues that come with agio."""
