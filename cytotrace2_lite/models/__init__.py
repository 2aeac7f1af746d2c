"""Model files, and what they predict."""
