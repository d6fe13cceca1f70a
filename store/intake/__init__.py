"""What arrives: watched, recognised, waited for, read without trust, and recorded or quarantined."""
