"""Every variable of StakeWise's programs has a decision, which the docs have, too."""

import re

import pytest

from dvtfast.services.settings import (
    CollectSettings,
    ConsolidateSettings,
    FundSettings,
    RegisterSettings,
    RelayerSettings,
    RotateExitsSettings,
    RunSettings,
    SidecarSettings,
    WithdrawSettings,
    stakewise_variables,
)
from dvtfast.services.settings.sources import known_variables, unknown
from tests.house.sources import ROOT, python_files

# Of StakeWise's dvt-relayer, dvt-operator-sidecar and v3-operator, as their programs read them.
NAMES = {
    "relayer": """
        RELAYER_HOST RELAYER_PORT SIGNATURE_THRESHOLD NETWORK EXECUTION_ENDPOINT EXECUTION_TIMEOUT
        EXECUTION_RETRY_TIMEOUT CONSENSUS_ENDPOINT CONSENSUS_TIMEOUT CONSENSUS_RETRY_TIMEOUT
        IPFS_FETCH_ENDPOINTS IPFS_TIMEOUT IPFS_RETRY_TIMEOUT GENESIS_VALIDATORS_IPFS_HASH
        GENESIS_VALIDATORS_IPFS_TIMEOUT DATABASE LOG_LEVEL LOG_FORMAT SENTRY_DSN SENTRY_ENVIRONMENT
        VALIDATOR_LIFETIME PUBLIC_KEYS_FILE VALIDATORS_MANAGER_KEY_FILE VALIDATORS_MANAGER_PASSWORD_FILE
    """,
    "sidecar": """
        NETWORK LOG_LEVEL LOG_FORMAT VERBOSE SENTRY_DSN SENTRY_ENVIRONMENT RELAYER_ENDPOINT RELAYER_TIMEOUT
        EXECUTION_ENDPOINT EXECUTION_TIMEOUT EXECUTION_RETRY_TIMEOUT CONSENSUS_ENDPOINT CONSENSUS_TIMEOUT
        CONSENSUS_RETRY_TIMEOUT DATABASE CLUSTER_TYPE OBOL_KEYSTORES_DIR OBOL_KEYSTORES_DIR_TEMPLATE
        OBOL_CLUSTER_LOCK_FILE OBOL_NODE_INDEX OBOL_NODE_INDEXES SSV_OPERATOR_KEY_FILE
        SSV_OPERATOR_PASSWORD_FILE SSV_OPERATOR_KEY_FILE_TEMPLATE SSV_OPERATOR_PASSWORD_FILE_TEMPLATE
        SSV_OPERATOR_ID SSV_OPERATOR_IDS POLL_INTERVAL REMOTE_SIGNER_URL REMOTE_SIGNER_TIMEOUT
    """,
    "operator": """
        VAULT NETWORK DATA_DIR DATABASE_DIR EXECUTION_ENDPOINTS EXECUTION_JWT_SECRET CONSENSUS_ENDPOINTS
        RELAYER_ENDPOINT RELAYER_TIMEOUT WALLET_FILE WALLET_PASSWORD_FILE WALLET_PRIVATE_KEY VALIDATOR_TYPE
        MIN_DEPOSIT_AMOUNT_GWEI MIN_DEPOSIT_DELAY MAX_VALIDATOR_BALANCE_GWEI VAULT_MIN_BALANCE_GWEI
        VAULT_FIRST_BLOCK MAX_FEE_PER_GAS_GWEI PRIORITY_FEE_NUM_BLOCKS PRIORITY_FEE_PERCENTILE
        MAX_WITHDRAWAL_REQUEST_FEE_GWEI MAX_CONSOLIDATION_REQUEST_FEE_GWEI HARVEST_VAULT CLAIM_FEE_SPLITTER
        FEE_SPLITTER_INTERVAL FEE_SPLITTER_MIN_ASSETS WITHDRAWALS_INTERVAL DISABLE_WITHDRAWALS
        DISABLE_FULL_WITHDRAWALS DISABLE_VALIDATORS_REGISTRATION DISABLE_VALIDATORS_FUNDING
        DISABLE_AVAILABLE_VALIDATORS_WARNINGS ENABLE_METRICS METRICS_HOST METRICS_PORT METRICS_PREFIX
        LOG_LEVEL LOG_FORMAT VERBOSE CONCURRENCY KEYSTORES_DIR KEYSTORES_PASSWORD_FILE
        KEYSTORES_PASSWORD_DIR REMOTE_SIGNER_URL REMOTE_SIGNER_TIMEOUT HASHI_VAULT_URL HASHI_VAULT_TOKEN
        HASHI_VAULT_KEY_PATH HASHI_VAULT_KEY_PREFIX HASHI_VAULT_PARALLELISM GRAPH_ENDPOINT
        IPFS_FETCH_ENDPOINTS IPFS_TIMEOUT IPFS_RETRY_TIMEOUT EXECUTION_TIMEOUT EXECUTION_RETRY_TIMEOUT
        CONSENSUS_TIMEOUT CONSENSUS_RETRY_TIMEOUT EVENTS_BLOCKS_RANGE_INTERVAL SENTRY_DSN SENTRY_ENVIRONMENT
        SKIP_STARTUP_CHECKS RUN_NODES ORACLES_VALIDATORS_TIMEOUT ORACLES_CONSOLIDATION_TIMEOUT
        ORACLES_EXITS_TIMEOUT ATTEMPTS_WITH_DEFAULT_GAS VALIDATORS_FUNDING_BATCH_SIZE
    """,
}
PROGRAMS = {
    "relayer": [RelayerSettings],
    "sidecar": [SidecarSettings],
    "operator": [
        CollectSettings,
        RegisterSettings,
        RunSettings,
        FundSettings,
        WithdrawSettings,
        ConsolidateSettings,
        RotateExitsSettings,
    ],
}
TRANSLATED = {"VERBOSE", "ENABLE_METRICS"}
ALL = [(program, name) for program, names in NAMES.items() for name in names.split()]


@pytest.mark.parametrize(("program", "name"), ALL)
def test_there_is_a_decision_for_every_variable_of_stakewise(program, name):
    """It is read by the setting that the table names, or ignored, or refused."""
    decision = stakewise_variables.decision_of(name, stakewise_variables.TABLES[program])
    assert decision is not None
    readers = {
        source.flag
        for cls in PROGRAMS[program]
        for source in cls.sources().values()
        if name in source.variables
    }
    if name not in TRANSLATED:
        assert readers == ({decision.flag} if decision.flag else set())
    assert bool(decision.flag) != bool(decision.why)


@pytest.mark.parametrize("program", PROGRAMS)
def test_what_the_settings_read_is_in_the_table(program):
    read = {
        variable
        for cls in PROGRAMS[program]
        for source in cls.sources().values()
        for variable in source.variables[1:]
    }
    assert read <= stakewise_variables.TABLES[program].keys()


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_table_is_in_the_docs(program):
    expected = stakewise_variables.as_markdown(program)
    assert expected in (ROOT / "docs" / f"{program}.md").read_text(), f"docs/{program}.md:\n{expected}"


VARIABLE = re.compile(r"\bDVTFAST_[A-Z_]*[A-Z]\b(?![*_<])")
OF_CMAKE = {"DVTFAST_CHECKED_LANES", "DVTFAST_COMPILES_IFMA", "DVTFAST_DEBUG", "DVTFAST_LANES_OPTIONS"}


def test_what_tests_are_told_is_no_wrong_setting():
    """Programs that tests start inherit it, and a variable that is none of ours is refused."""
    read = {
        name
        for file in python_files(ROOT / "tests", ROOT / "benchmarks")
        for line in file.read_text().splitlines()
        if "environ" in line
        for name in VARIABLE.findall(line)
    }
    assert "DVTFAST_KILLS" in read
    assert unknown(dict.fromkeys(read, "1"), known_variables()) == []


def test_the_docs_name_variables_that_there_are():
    files = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "deploy").rglob("*")]
    named = {name for file in files if file.is_file() for name in VARIABLE.findall(file.read_text())}
    assert "DVTFAST_RELAYER" in named
    assert unknown(dict.fromkeys(named - OF_CMAKE, "1"), known_variables()) == []
