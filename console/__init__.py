"""The terminal: a Textual application and the command line, both clients of the agent."""
