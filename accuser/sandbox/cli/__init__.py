"""Command lines as upstream reads them: global options, commands, usage, errors."""
