"""What the operator's commands can be told."""

from .beacon_requests import ConsolidateSettings, FundSettings, RequestSettings, WithdrawSettings
from .oracles import (
    CollectSettings,
    IndexSettings,
    OracleSettings,
    RegisterSettings,
    RotateExitsSettings,
    RunSettings,
)
from .sending import ActionSettings, SendingSettings, StatusSettings

__all__ = [
    "ActionSettings",
    "CollectSettings",
    "ConsolidateSettings",
    "FundSettings",
    "IndexSettings",
    "OracleSettings",
    "RegisterSettings",
    "RequestSettings",
    "RotateExitsSettings",
    "RunSettings",
    "SendingSettings",
    "StatusSettings",
    "WithdrawSettings",
]
