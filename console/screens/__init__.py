"""The views of the console, one file each, and the deck that holds one of them at a time."""
