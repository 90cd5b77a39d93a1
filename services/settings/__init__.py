"""What each service can be told, and where it is told: flag, environment, --env-file, default.

One frozen dataclass per service. A field says its flag, its variables, how its text is read and its
default; `options` makes the command line from that, and `load` reads all sources and reports *all*
problems at once. Every setting has a variable of ours, `DVTFAST_...`; the names that the first
makers' `.env` files use are understood too, or refused, or named at the start.

sources.py       one setting             relayer/     the relayer, its database, its tokens
shared.py        settings of several     operator/    relayer_client.py   sidecar.py
command_line.py  flags, environment, --env-file       demo.py   keys.py   deposits.py
charon.py        those that charon has   stakewise_variables.py   those of StakeWise's programs
ceremony/        new clusters            p2p/         relays, and how hosts are reached
node/            a cluster's duties      chain_clients.py         nodes, as the settings name them
subjects.py      headings of their help
"""

from . import stakewise_variables
from .ceremony import (
    CombineSettings,
    CreateClusterSettings,
    CreateDkgSettings,
    CreateEnrSettings,
    CreateKeysharesSettings,
    DkgSettings,
    NewClusterSettings,
    RecoverSettings,
    VerifyBlameSettings,
)
from .command_line import EXIT_CODE, options, read_env_file
from .demo import DemoSettings
from .deposits import DepositsSettings, ScanSettings
from .keys import (
    ClusterVerifySettings,
    ExportSettings,
    KeyCacheSettings,
    KeysSettings,
    ListSettings,
    VerifySettings,
)
from .node import (
    ExitBroadcastSettings,
    ExitCancelSettings,
    ExitChainSettings,
    ExitExportSettings,
    ExitImportSettings,
    ExitListSettings,
    ExitSettings,
    ExitSignSettings,
    ImportSettings,
    NodeSettings,
    ProtectionSettings,
    SomeExitSettings,
)
from .operator import (
    ActionSettings,
    CollectSettings,
    ConsolidateSettings,
    FundSettings,
    IndexSettings,
    OracleSettings,
    RegisterSettings,
    RequestSettings,
    RotateExitsSettings,
    RunSettings,
    SendingSettings,
    StatusSettings,
    WithdrawSettings,
)
from .p2p import P2PRelaySettings
from .relayer.database import DatabaseSettings, EncryptSettings, ForgetSettings, RotateSettings
from .relayer.run import UNKNOWN_SHARES_LIMIT, RelayerSettings
from .relayer.tokens import TokenCreateSettings, TokenListSettings
from .relayer_client import RelayerClientSettings
from .sidecar import PlanSettings, ReleaseSettings, SidecarSettings
from .sources import Settings, SettingsError

__all__ = [
    "EXIT_CODE",
    "UNKNOWN_SHARES_LIMIT",
    "ActionSettings",
    "ClusterVerifySettings",
    "CollectSettings",
    "CombineSettings",
    "ConsolidateSettings",
    "CreateClusterSettings",
    "CreateDkgSettings",
    "CreateEnrSettings",
    "CreateKeysharesSettings",
    "DatabaseSettings",
    "DemoSettings",
    "DepositsSettings",
    "DkgSettings",
    "EncryptSettings",
    "ExitBroadcastSettings",
    "ExitCancelSettings",
    "ExitChainSettings",
    "ExitExportSettings",
    "ExitImportSettings",
    "ExitListSettings",
    "ExitSettings",
    "ExitSignSettings",
    "ExportSettings",
    "ForgetSettings",
    "FundSettings",
    "ImportSettings",
    "IndexSettings",
    "KeyCacheSettings",
    "KeysSettings",
    "ListSettings",
    "NewClusterSettings",
    "NodeSettings",
    "OracleSettings",
    "P2PRelaySettings",
    "PlanSettings",
    "ProtectionSettings",
    "RecoverSettings",
    "RegisterSettings",
    "RelayerClientSettings",
    "RelayerSettings",
    "ReleaseSettings",
    "RequestSettings",
    "RotateExitsSettings",
    "RotateSettings",
    "RunSettings",
    "ScanSettings",
    "SendingSettings",
    "Settings",
    "SettingsError",
    "SidecarSettings",
    "SomeExitSettings",
    "StatusSettings",
    "TokenCreateSettings",
    "TokenListSettings",
    "VerifyBlameSettings",
    "VerifySettings",
    "WithdrawSettings",
    "options",
    "read_env_file",
    "stakewise_variables",
]
