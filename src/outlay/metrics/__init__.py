"""Metrics: each measure and dimension defined and explained once; one form of question, one renderer."""
