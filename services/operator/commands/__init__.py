"""The operator's commands, from their settings to their exit codes."""
