"""How files of every format are read: text encodings, dialects, times, kinds of columns."""
