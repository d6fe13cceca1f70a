"""How files that arrive are read: one place for each thing that every format must read the same."""
