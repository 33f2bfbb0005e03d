"""Judged: what is usual, what is not, and what follows from it."""
