"""How the tables of the control store came to be, one file a step."""
