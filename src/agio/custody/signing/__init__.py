"""The key that signs released instructions: from a file, or in an HSM."""
