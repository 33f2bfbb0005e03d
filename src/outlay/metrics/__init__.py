"""Each measure and dimension, named, defined and documented once."""
