"""Files on disk and how their columns read: the same data gives the same values in every format."""
