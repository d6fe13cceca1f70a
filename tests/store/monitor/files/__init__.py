"""Files of every format and dialect, as they are read."""
