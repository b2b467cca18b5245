"""The event sink: the options, the filters and the bytes of the real one."""
