"""Everything about models in production that is true with no terminal open."""
