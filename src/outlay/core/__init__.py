"""The words everyone speaks. No I/O, standard library only."""
