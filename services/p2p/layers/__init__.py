"""The protocols as state machines: bytes in, bytes and events out. Nothing here waits or looks at a clock."""
