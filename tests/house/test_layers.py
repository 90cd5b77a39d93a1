"""Who may import whom: native <- dvtfast <- services, and the layers within."""

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

from tests.house.sources import (
    LIBRARY,
    NATIVE,
    ROOT,
    SERVICES,
    for_each,
    imports,
    module_name,
    nodes_with,
    python_files,
)

# From the bottom to the top; a module imports from its own layer or from below.
LAYERS = [
    {"constants", "errors"},
    {"_arrays", "_backend", "_extras", "_keccak", "_parallel", "_secrets", "_statuses", "domains"},
    {"points", "keys", "signatures", "_lagrange", "threshold", "recovery", "signing_roots", "networks"},
    {"derivation", "ecies", "oracles", "protobuf", "secp256k1"},
    {
        "_addresses",
        "_cluster_keys",
        "_files",
        "files",
        "_ssz",
        "protocol_config",
        "deposits",
        "deposit_data_tree",
        "keystores",
        "obol",
        "ssv",
        "clusters",
        "dkg",
        "duties",
        "qbft",
        "key_cache",
    },
]
LAYER_OF = {module: depth for depth, layer in enumerate(LAYERS) for module in layer}

# The rooms of the services, from the bottom to the top, and which rooms each may know.
BOTTOM = {"process", "files", "wire"}
LOWER = BOTTOM | {"web", "chain", "relayer_client"}
ROOMS = {
    "process": set(),
    "files": set(),
    "wire": set(),
    "web": {"process", "wire"},
    "relayer_client": {"process", "web", "wire"},
    "chain": BOTTOM | {"web"},
    "ssv": BOTTOM | {"chain"},
    "settings": LOWER,
    "keys": BOTTOM | {"settings", "web"},
    "p2p": BOTTOM | {"web", "settings"},
    "relayer": (LOWER - {"relayer_client"}) | {"keys", "settings"},
    "sidecar": LOWER | {"keys", "settings", "ssv"},
    "operator": LOWER | {"keys", "settings"},
    "ceremony": (LOWER - {"relayer_client"}) | {"keys", "p2p", "settings"},
    "node": (LOWER - {"relayer_client"}) | {"keys", "p2p", "settings"},
    "demo": LOWER | {"ceremony", "node", "operator", "settings"},
}
AT_THE_DOOR = {"__init__", "__main__", "cli", "command", "extras"}  # the command line
MOST_FILES = 17  # in a room; a stranger reads a list of names, not a book

# The services, and who may know more than one of them.
SERVICE_NAMES = ("relayer", "sidecar", "operator", "ceremony", "node")
KNOW_ALL = ("cli", "demo")

FILES_IN_LIBRARY = [file for file in python_files(LIBRARY) if file.parent.name != "_native"]
FILES_IN_SERVICES = python_files(SERVICES)
HEX, ENVIRONMENT = ("hex", "fromhex", "hexlify", "unhexlify"), ("environ", "getenv")
# Hex is for people and for files: constants as the specifications print them, and the readers of files.
HEX_ALLOWED = {
    *(f"src/dvtfast/{module}" for module in ("constants", "networks", *LAYERS[-2], *LAYERS[-1])),
    "services/wire/codec",
    "services/wire/values",
    "services/chain/encoding",
    "services/node/wire",
    "services/relayer/storage_key",
}


def name_of(file):
    return file.relative_to(ROOT).as_posix()


def library_module(name):
    """`keys` of `dvtfast.keys.PublicKeys`; None for what is not a module of the library."""
    parts = name.split(".")
    return parts[1] if parts[0] == "dvtfast" and len(parts) > 1 and parts[1] in LAYER_OF else None


def service_of(name):
    """`relayer` of `dvtfast.services.relayer.routes`; None for the shared files."""
    parts = name.split(".")
    return (
        parts[2]
        if parts[:2] == ["dvtfast", "services"] and len(parts) > 2 and parts[2] in SERVICE_NAMES
        else None
    )


def assert_none(offending):
    offending = [str(each) for each in offending]
    assert not offending, "\n".join(offending)


@for_each(FILES_IN_LIBRARY)
def test_the_library_does_not_know_the_services(file):
    assert_none(i for i in imports(file) if i.name.startswith(("dvtfast.services", "services")))


@for_each(FILES_IN_LIBRARY)
def test_the_layers_of_the_library(file):
    if file == LIBRARY / "__init__.py":
        return
    own = library_module(module_name(file))
    assert own, f"{name_of(file)} has no place in LAYERS"
    assert_none(i for i in imports(file) if LAYER_OF.get(library_module(i.name), 0) > LAYER_OF[own])


def test_the_library_has_no_cycle():
    graph = {}
    for file in FILES_IN_LIBRARY:
        if own := library_module(module_name(file)):
            graph.setdefault(own, set()).update({library_module(i.name) for i in imports(file)} - {None, own})
    TopologicalSorter(graph).prepare()


def room_of(name):
    """`chain.deposits` of `dvtfast.services.chain.deposits.scan`, which is one of the services' files."""
    return ".".join(name.split(".")[2:-1])


def imported_modules():
    """Each module of the services, and those of them that it imports."""
    modules = {module_name(file): file for file in FILES_IN_SERVICES}
    graph = {}
    for module, file in modules.items():
        known = graph.setdefault(module, set())
        for each in imports(file):
            name = each.name if each.name in modules else each.name.rpartition(".")[0]
            known |= {name} & (modules.keys() - {module, "dvtfast.services"})
    return graph


def test_services_have_no_circle():
    TopologicalSorter(imported_modules()).prepare()


def test_rooms_know_their_neighbours_only():
    found = {}
    for module, known in imported_modules().items():
        for name in known:
            own, other = (room_of(each).partition(".")[0] for each in (module, name))
            if own and other and own != other:
                found.setdefault(own, set()).add(other)
    assert_none(f"{own} imports {name}" for own in found for name in found[own] - ROOMS[own])
    TopologicalSorter(ROOMS).prepare()


def test_rooms_within_a_room_have_no_circle():
    """What lies in a room itself wires the rooms within, or is for all of them."""
    graph = {}
    for module, known in imported_modules().items():
        own = room_of(module)
        others = {room_of(name) for name in known if room_of(name).partition(".")[0] == own.partition(".")[0]}
        graph.setdefault(own, set()).update(others - {own})
    wiring = {own for own in graph if any(other.startswith(f"{own}.") for other in graph)}
    TopologicalSorter({own: graph[own] - wiring for own in graph.keys() - wiring}).prepare()


def test_every_file_is_in_a_room_that_is_not_too_full():
    assert {file.stem for file in SERVICES.glob("*.py")} == AT_THE_DOOR
    for room in {file.parent for file in FILES_IN_SERVICES}:
        files = [file.name for file in room.glob("*.py") if file.name != "__init__.py"]
        assert len(files) <= MOST_FILES, f"{name_of(room)} has {len(files)} files"


@for_each(FILES_IN_LIBRARY)
def test_the_library_opens_no_socket(file):
    network = ("aiohttp", "asyncio", "http", "requests", "socket", "ssl", "urllib")
    assert_none(i for i in imports(file) if i.name.split(".")[0] in network)


@for_each(FILES_IN_SERVICES)
def test_services_use_public_names_only(file):
    """Neither the kernels nor anything private of the library."""
    assert_none(
        i
        for i in imports(file)
        if i.name.startswith("dvtfast.")
        and not i.name.startswith("dvtfast.services")
        and any(part.startswith("_") for part in i.name.split("."))
    )


@for_each(FILES_IN_SERVICES)
def test_services_do_not_import_each_other(file):
    parts = file.relative_to(SERVICES).with_suffix("").parts
    if parts[0] in KNOW_ALL:
        return
    own = parts[0] if parts[0] in SERVICE_NAMES else None
    assert_none(i for i in imports(file) if service_of(i.name) not in (None, own))


def test_no_top_level_package_hides_the_standard_library():
    assert module_name(SERVICES / "operator" / "plan.py") == "dvtfast.services.operator.plan"
    assert not (ROOT / "operator").exists()
    assert not (LIBRARY.parent / "operator").exists()


@for_each(FILES_IN_LIBRARY + FILES_IN_SERVICES)
def test_hex_stays_at_the_border(file):
    if "/".join(file.with_suffix("").relative_to(ROOT).parts[:3]) in HEX_ALLOWED:
        return
    calls = [node for node in nodes_with(file, HEX) if isinstance(node, ast.Attribute) and node.attr in HEX]
    assert_none(f"{name_of(file)}:{node.lineno} {ast.unparse(node)}" for node in calls)


@for_each(FILES_IN_LIBRARY + FILES_IN_SERVICES)
def test_the_environment_is_read_in_settings_only(file):
    """But for what all programs of a machine share: proxies and certificates."""
    if file in (
        SERVICES / "settings" / "command_line.py",
        SERVICES / "web" / "outgoing.py",
        LIBRARY / "_backend.py",
    ):
        return
    reads = [
        node
        for node in nodes_with(file, ENVIRONMENT)
        if isinstance(node, ast.Attribute) and node.attr in ENVIRONMENT
    ]
    assert_none(f"{name_of(file)}:{node.lineno} {ast.unparse(node)}" for node in reads)


@for_each(FILES_IN_SERVICES)
def test_one_place_makes_requests(file):
    """So that proxies, certificates and limits count for all that goes out."""
    if file in (
        SERVICES / "web" / "outgoing.py",
        SERVICES / "demo" / "on_chain.py",  # its chain is on this machine
    ):
        return
    made = ("ClientSession", "TCPConnector", "urlopen", "HTTPConnection", "HTTPSConnection")
    assert_none(
        f"{name_of(file)}:{node.lineno} {ast.unparse(node)}"
        for node in nodes_with(file, made)
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in made
    )


@for_each(sorted(NATIVE.glob("*.p[yx][xd]")))
def test_kernels_know_arrays_only(file):
    """No files, JSON, asyncio or threads, and nothing of the library but other kernels."""
    lines = enumerate(file.read_text().splitlines(), 1)
    allowed = re.compile(r"(from|cimport|import) (dvtfast\._native|libc|cython|cpython)\b")
    assert_none(
        f"{name_of(file)}:{number} {line}"
        for number, line in lines
        if re.match(r"\s*(from|import|cimport)\b", line) and not allowed.match(line.strip())
    )


def test_only_kernels_know_blst():
    assert_none(i for file in FILES_IN_LIBRARY + FILES_IN_SERVICES for i in imports(file) if "blst" in i.name)


PARENT = "." * 2 + "/"
SYSTEM = ("/bin", "/dev", "/etc", "/proc", "/sys", "/tmp", "/usr")


@for_each(python_files(ROOT / "tests", LIBRARY, SERVICES))
def test_nothing_is_read_from_outside_the_repository(file):
    """A clone has all it needs: no path that leaves it, none of the machine it was written on."""
    texts = [
        node
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    assert_none(
        f"{name_of(file)}:{node.lineno} {node.value!r}"
        for node in texts
        if node.value.startswith(PARENT)
        or (
            re.fullmatch(r"/\w\S*", node.value)
            and not node.value.startswith(SYSTEM)
            and Path(node.value).exists()
        )
    )
