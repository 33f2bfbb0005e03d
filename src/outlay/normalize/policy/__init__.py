"""The tag policy: what a company expects of its tags, as data that flows like prices."""
