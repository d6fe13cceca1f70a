"""What there is: datasets, runs, models and their versions, the bits by digest, and how to list them."""
