"""The compiled kernels; private. They know arrays and statuses, nothing else.

Each is a module, and all of them are in one file, `kernels`.
"""

import sys
from collections.abc import Sequence
from importlib.machinery import ExtensionFileLoader, ModuleSpec
from importlib.util import find_spec, spec_from_file_location
from types import ModuleType


class _InOneFile:
    """Finds a module of this package in the file of the kernels, where it has no file of its own."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name.rpartition(".")[0] != __name__ or _kernels is None or _kernels.origin is None:
            return None
        return spec_from_file_location(name, loader=ExtensionFileLoader(name, _kernels.origin))


_kernels = find_spec(f"{__name__}.kernels")
sys.meta_path.append(_InOneFile)
