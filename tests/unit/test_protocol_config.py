"""The oracle config."""

import copy
import json

import numpy as np
import pytest

from dvtfast import FileError
from dvtfast.protocol_config import parse_oracle_config, read_oracle_config, write_oracle_config
from tests.vector_files import VECTORS, load, unhex

SAMPLE = VECTORS / "protocol_config_sample.json"


def test_sample():
    document = load("protocol_config_sample.json")
    config = read_oracle_config(SAMPLE)
    assert config.exit_signature_recover_threshold == 8
    assert [key.tobytes() for key in config.public_keys] == [
        unhex(oracle["public_key"]) for oracle in document["oracles"]
    ]
    assert config.endpoints[10] == tuple(document["oracles"][10]["endpoints"])
    assert config.raw["vault_max_fee"] == 1500


def test_written_is_what_was_read(tmp_path):
    write_oracle_config(tmp_path / "config.json", read_oracle_config(SAMPLE))
    assert json.loads((tmp_path / "config.json").read_text()) == json.loads(SAMPLE.read_text())


def test_parsed_json_gives_the_same():
    np.testing.assert_array_equal(
        parse_oracle_config(load("protocol_config_sample.json")).public_keys,
        read_oracle_config(SAMPLE).public_keys,
    )


def test_older_form_with_one_endpoint():
    document = load("protocol_config_sample.json")
    for oracle in document["oracles"]:
        (oracle["endpoint"],) = oracle.pop("endpoints")
    assert parse_oracle_config(document).endpoints[1] == ("http://127.0.0.1:9002",)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda c: c.update(exit_signature_recover_threshold=12), "expected an integer of 1..11"),
        (lambda c: c.update(exit_signature_recover_threshold=0), "expected an integer of 1..11"),
        (lambda c: c.pop("exit_signature_recover_threshold"), "exit_signature_recover_threshold: missing"),
        (lambda c: c.update(oracles=[]), "oracles: expected 1 to 255 items, got 0"),
        (lambda c: c.update(oracles={}), "oracles: expected a list, got an object"),
        (lambda c: c["oracles"].append(c["oracles"][3]), r"oracles\[11\].public_key: repeated"),
        (
            lambda c: c["oracles"][2].update(public_key="0x" + "11" * 64),
            r"oracles\[2\].public_key: not a point",
        ),
        (
            lambda c: c["oracles"][2].update(public_key="0x04" + "11" * 64),
            r"oracles\[2\].public_key: expected 64",
        ),
        (lambda c: c["oracles"][2].pop("endpoints"), r"oracles\[2\].endpoints: missing"),
        (lambda c: c["oracles"][2].update(endpoints=[5]), r"oracles\[2\].endpoints\[0\]: expected a text"),
    ],
)
def test_wrong_config_is_refused(change, complaint):
    document = copy.deepcopy(load("protocol_config_sample.json"))
    change(document)
    with pytest.raises(FileError, match=complaint):
        parse_oracle_config(document)
