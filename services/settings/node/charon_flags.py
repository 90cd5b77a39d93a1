"""The flags of `charon run`, and their variables: which are read, and what to do instead of the others.

Nothing of charon's command line passes in silence: what asks for what is not done here is refused by name.
docs/node.md has the table, which a test compares. Source: charon v1.11, cmd/run.go.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Final

from ..stakewise_variables import OFF, ON, Decision

VARIABLE: Final = "CHARON_"
_HARMLESS_FEATURES: Final = frozenset({"stable"})
_HARMLESS_PROTOCOLS: Final = frozenset({"qbft"})


def _read(flag: str) -> Decision:
    return Decision(flag=flag)


def _instead(why: str, *, unless: frozenset[str] = frozenset()) -> Decision:
    return Decision(why=why, refuses=("",), harmless=unless)


_SAME: Final = (
    "--lock-file",
    "--private-key-file",
    "--beacon-node-endpoints",
    "--fallback-beacon-node-endpoints",
    "--beacon-node-timeout",
    "--beacon-node-submit-timeout",
    "--builder-api",
    "--graffiti",
    "--nickname",
    "--no-verify",
    "--monitoring-address",
    "--validator-api-address",
    "--vc-tls-cert-file",
    "--vc-tls-key-file",
    "--p2p-relays",
    "--p2p-tcp-address",
    "--p2p-external-ip",
    "--p2p-external-hostname",
    "--testnet-name",
    "--testnet-chain-id",
    "--testnet-fork-version",
    "--testnet-genesis-timestamp",
    "--testnet-capella-hard-fork",
    "--log-format",
    "--log-level",
)
_LOGS: Final = _instead("log lines go to stderr, for whoever collects them; leave it out")
_TRACES: Final = _instead("no traces are sent; see the status page and /metrics; leave it out")
_SIMULATION: Final = _instead(
    "nothing is simulated: name a chain for tests by --beacon-node and --testnet-name, or try `dvtfast demo`"
)
_REGISTRATIONS: Final = "fee recipients and builder registrations are those of the lock; leave it out"

CHARON_FLAGS: Final[Mapping[str, Decision]] = MappingProxyType(
    {
        **{flag: _read(flag) for flag in _SAME},
        "--private-key-file-lock": _instead("the key is always locked; leave it out", unless=ON),
        "--beacon-node-headers": _instead(
            "write user:password@ before the host of --beacon-node; no other headers are sent"
        ),
        "--debug-address": _instead("there is no such port; /status.json of --monitoring-address says more"),
        "--synthetic-block-proposals": _instead(
            "blocks that are not meant to be sent are not made; nodes that make some would wait for this one,"
            " so switch it off at all nodes",
            unless=OFF,
        ),
        "--consensus-protocol": _instead("there is qbft only; leave it out", unless=_HARMLESS_PROTOCOLS),
        "--graffiti-disable-client-append": _instead(
            "nothing is ever appended to --graffiti; leave it out", unless=ON
        ),
        "--execution-client-rpc-endpoint": _instead(
            "no contract has to be asked: all key shares and nodes have signed the lock; leave it out"
        ),
        "--overrides-file": _instead(_REGISTRATIONS),
        "--fetch-feerecipient-updates": _instead(_REGISTRATIONS, unless=OFF),
        "--publish-address": _instead("nothing is published; leave it out"),
        "--publish-timeout": _instead("nothing is published; leave it out"),
        "--feature-set": _instead("features are those that charon calls stable", unless=_HARMLESS_FEATURES),
        "--feature-set-enable": _instead("features are those that charon calls stable; leave it out"),
        "--feature-set-disable": _instead("features are those that charon calls stable; leave it out"),
        "--manifest-file": _instead("charon itself no longer reads it; --lock-file names the lock"),
        "--proc-directory": _instead("nothing is read of the other programs here; leave it out"),
        "--p2p-udp-address": _instead("QUIC is not spoken, --p2p-tcp-address is enough; leave it out"),
        "--p2p-disable-reuseport": _instead("ports are never shared by connections; leave it out", unless=ON),
        "--p2p-allowlist": _instead("a firewall does that; leave it out"),
        "--p2p-denylist": _instead("a firewall does that; leave it out"),
        "--p2p-fuzz": _instead("nothing is spoiled on purpose; leave it out", unless=OFF),
        "--simnet-beacon-mock": _SIMULATION,
        "--simnet-beacon-mock-fuzz": _SIMULATION,
        "--simnet-validator-mock": _SIMULATION,
        "--simnet-validator-keys-dir": _SIMULATION,
        "--simnet-slot-duration": _SIMULATION,
        "--log-color": _instead("lines are coloured on a terminal only; leave it out"),
        "--log-output-path": _LOGS,
        "--loki-addresses": _LOGS,
        "--loki-service": _LOGS,
        "--otlp-address": _TRACES,
        "--otlp-headers": _TRACES,
        "--otlp-insecure": _TRACES,
        "--otlp-service-name": _TRACES,
        "--jaeger-address": _TRACES,
        "--jaeger-service": _TRACES,
    }
)


def variable_of(flag: str) -> str:
    """Charon's variable for a flag of its own."""
    return VARIABLE + flag.removeprefix("--").replace("-", "_").upper()


def sifted(arguments: Iterable[str], switches: Collection[str]) -> tuple[list[str], list[str]]:
    """A command line without what asks for nothing more, and a line for each flag that is refused.

    Args:
        arguments: as they were given.
        switches: flags of ours without a value; charon's may say =true or =false.
    """
    left, problems = [], []
    rest = iter(arguments)
    for argument in rest:
        flag, equals, value = argument.partition("=")
        decision = CHARON_FLAGS.get(flag)
        if flag in switches and equals:
            if value.lower() not in ON | OFF:
                problems.append(f"{flag}: expected true or false, got {value!r}")
            elif value.lower() in ON:
                left.append(flag)
        elif decision is None or decision.flag:
            left.append(argument)
        else:
            if not equals:
                value = "true" if decision.harmless in (ON, OFF) else next(rest, "")
            if decision.is_refused("", value):
                problems.append(f"{flag}: {_plain(decision)}")
    return left, problems


def refused_variables(environment: Mapping[str, str]) -> list[str]:
    """A line for each variable of charon's that asks for what is not done; values are not shown."""
    return [
        f"{name}: {_plain(decision)}"
        for flag, decision in CHARON_FLAGS.items()
        if (value := environment.get(name := variable_of(flag), "").strip())
        and decision.is_refused("", value)
    ]


def _plain(decision: Decision) -> str:
    return decision.why.replace("`", "")


def as_markdown() -> str:
    """The table, as docs/node.md has it."""
    rows = (f"| `{flag}` | {decision.text} |" for flag, decision in CHARON_FLAGS.items())
    return "\n".join(["| `charon run` | what becomes of it |", "|---|---|", *rows])
