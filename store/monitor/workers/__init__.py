"""Processes of their own for what needs scikit-learn: started by the agent, bounded in memory and time."""
