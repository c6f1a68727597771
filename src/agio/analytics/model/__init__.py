"""Pure rules of analytics: arrays and integers in, outcomes out. No I/O, no clock."""
