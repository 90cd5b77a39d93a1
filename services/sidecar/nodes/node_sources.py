"""Where the nodes of a sidecar come from: what the settings name, read anew when it changes."""

from __future__ import annotations

from contextlib import AsyncExitStack

from ...process.offload import Workers
from ...settings import SidecarSettings
from .node import NodeSource
from .obol import ObolFiles, RemoteKeys


def sources_of(settings: SidecarSettings, workers: Workers, stack: AsyncExitStack) -> list[NodeSource]:
    """What the settings name.

    Args:
        workers: one thread, on which key shares are used and wiped.
        stack: what a source has open is closed with it.
    """
    sources: list[NodeSource] = []
    if settings.serves_obol:
        remote = settings.remote_signer
        obol: NodeSource = (
            ObolFiles(settings, workers) if remote is None else RemoteKeys(settings, remote, workers)
        )
        sources.append(obol)
    if settings.serves_ssv:
        sources.append(_ssv(settings, workers, stack))
    return sources


def _ssv(settings: SidecarSettings, workers: Workers, stack: AsyncExitStack) -> NodeSource:
    if settings.ssv_keyshares:
        from .ssv import SsvFiles

        return SsvFiles(settings, workers)
    from .ssv_chain import SsvChain  # needs the extra `chain`

    source = SsvChain(settings, workers)
    stack.push_async_callback(source.close)
    return source
