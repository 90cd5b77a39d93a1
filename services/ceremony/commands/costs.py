"""What keystores cost, as a command was told."""

from __future__ import annotations

from dvtfast import Network
from dvtfast.keystores import PBKDF2_DEFAULT, PBKDF2_INSECURE

from ...settings import DkgSettings, RecoverSettings
from ...settings.ceremony import INSECURE_NETWORKS
from ..errors import CeremonyError
from ..folder import Cost


def cost_of(settings: DkgSettings | RecoverSettings, network: Network) -> Cost:
    """That of the keystores that a command writes.

    Raises:
        CeremonyError: they would protect nothing, on a network where stake is worth something.
    """
    if settings.insecure_keys and network.name not in INSECURE_NETWORKS:
        raise CeremonyError(f"--insecure-keys: not on {network.name}, where stake is worth something")
    kdf = PBKDF2_INSECURE if settings.insecure_keys else PBKDF2_DEFAULT
    return Cost(kdf, settings.one_derivation, settings.threads)
