"""Pure readers of the venues' own formats, and each venue's rules of continuity beside its reader."""
