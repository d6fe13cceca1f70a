"""The widgets of the console: each gets its data through a small protocol and knows nothing of the store."""
