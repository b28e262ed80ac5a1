"""Many streams at once: what lies in folders, and work on it that is spread over the cores."""
