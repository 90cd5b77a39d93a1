"""Connections and streams over asyncio: one thin layer around the state machines of `layers/`."""
