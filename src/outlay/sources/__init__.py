"""Foreign shapes, one file each; all end in the batches of `facts.py`."""
