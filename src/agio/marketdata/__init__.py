"""Instruments, calendars, trades, quotes, books, bars and the replay of recorded markets."""
