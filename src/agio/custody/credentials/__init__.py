"""What approvers prove themselves with."""
