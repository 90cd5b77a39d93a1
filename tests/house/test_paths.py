"""Paths are looked at in services/files/paths.py, and people's files read in dvtfast.files, nowhere else."""

import ast

from tests.house.sources import LIBRARY, ROOT, SERVICES, for_each, nodes_with, python_files

# They raise where a directory on the way is another user's, or hide why something is not there.
LOOKING = {"exists", "is_file", "is_dir", "is_symlink", "iterdir"}
# They know nothing of byte order marks, have no limit, and raise errors that are not ours.
READING = {"read_text", "read_bytes"}
FILES = [file for file in python_files(SERVICES, LIBRARY) if SERVICES / "demo" not in file.parents]
# What is read is ours, or the kernel's.
OWN_FILES = {
    "services/relayer/documents.py",
    "services/web/pages.py",
    "src/dvtfast/_parallel.py",
    "src/dvtfast/keystores/memory.py",
}


def calls(file, names):
    for node in nodes_with(file, names):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in names:
            yield f"{file.relative_to(ROOT)}:{node.lineno} calls .{node.func.attr}()"


@for_each(FILES)
def test_paths_are_looked_at_in_one_place(file):
    # Where errors mean nothing.
    ours = {"src/dvtfast/keystores/looking.py", "services/sidecar/nodes/file_states.py"}
    if file.relative_to(ROOT).as_posix() not in ours:
        assert not list(calls(file, LOOKING))


@for_each(FILES)
def test_files_are_read_in_one_place(file):
    if file.relative_to(ROOT).as_posix() not in OWN_FILES:
        assert not list(calls(file, READING))
