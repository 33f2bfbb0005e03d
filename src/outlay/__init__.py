"""Outlay: FinOps for AI agents. What did this session really cost, whose money was it, and what did it achieve?"""

__version__ = "0.1.0"
__all__ = ["__version__"]
