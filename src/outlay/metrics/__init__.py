"""Metrics: each measure and dimension named, defined and explained once; one form of question, one renderer an engine."""
