"""Every text that a command reads, as people's tools save it; nothing in it is passed over in silence."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from eth_account import Account

from dvtfast import generate_secret_keys, keystores
from dvtfast.keystores import Pbkdf2
from dvtfast.services import wire
from dvtfast.services.cli import main
from dvtfast.services.demo.oracle.app import read_secret
from dvtfast.services.demo.oracle.settings import DemoOracleSettings
from dvtfast.services.keys.account_key import AccountKeyError, load_account
from dvtfast.services.operator.commands.order_files import read_amounts
from dvtfast.services.relayer.app import read_configuration
from dvtfast.services.relayer.storage_key import read_storage_key
from dvtfast.services.relayer.store.seals import StorageKey
from dvtfast.services.relayer_client.access import read_token
from dvtfast.services.settings import RelayerSettings, SettingsError, read_env_file
from dvtfast.services.web.tls import Certificate, CertificateError, client_context
from tests.texts import SAVED
from tests.vector_files import VECTORS

from .certificates import Authority

Save = Callable[[str], bytes]

KEYS = [wire.PublicKey(bytes([0x80 + i]) * 48) for i in range(3)]
TEXTS = [key.to_wire() for key in KEYS]
LISTS = {
    "lines": "\n".join(TEXTS),
    "no prefix": "\n".join(text[2:] for text in TEXTS),
    "comments": "# mine\n\n" + "\n".join(f"{text} # mine, too" for text in TEXTS),
    "a heading": "public_key,index\n" + "\n".join(f"{text},7" for text in TEXTS),
    "quotes": '"Validator public key";"n"\n' + "\n".join(f'"{text}";7' for text in TEXTS),
    "tabs": "\n".join(f"{text}\tvalidator" for text in TEXTS),
    "JSON": json.dumps(TEXTS, indent=1),
    "JSON in a line": json.dumps(TEXTS),
    "deposit data": json.dumps([{"pubkey": text[2:], "amount": 1} for text in TEXTS]),
    "objects": json.dumps([{"index": 1, "public_key": text} for text in TEXTS]),
}
every_way = pytest.mark.parametrize("save", SAVED.values(), ids=SAVED)


@every_way
@pytest.mark.parametrize("text", LISTS.values(), ids=LISTS)
def test_lists_of_keys(tmp_path: Path, save: Save, text: str) -> None:
    """As `--registered-keys` and as `forget --file`."""
    path = tmp_path / "keys.txt"
    path.write_bytes(save(text))
    flags = {
        "network": "hoodi",
        "signature_threshold": "3",
        "oracles": str(VECTORS / "protocol_config_sample.json"),
        "registered_keys": str(path),
    }
    configuration = read_configuration(RelayerSettings.load(flags, {}))
    assert configuration.registered_keys == KEYS
    database = tmp_path / "relayer.db"
    made = CliRunner().invoke(
        main, ["relayer", "token", "create", "--role", "read-only", "--database", str(database)]
    )
    assert made.exit_code == 0, made.output
    done = CliRunner().invoke(
        main, ["relayer", "forget", "--database", str(database), "--file", str(path), "--yes"]
    )
    assert (done.exit_code, "3 of the public keys are not in the database" in done.output) == (0, True)


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        (f"\ufffd\ufffd\n{TEXTS[0]}", ["line 1: expected 48 bytes of hex, got 2 digits"]),
        (f"{TEXTS[0]}\n{TEXTS[1][:-1]}", ["line 2: expected 48 bytes of hex, got 95 digits"]),
        (f"{TEXTS[0][:-1]} validator 1", ["line 1: expected 48 bytes of hex, got 95 digits"]),
        (f"index,key\n7,{TEXTS[0]}", ["line 1: expected 48 bytes of hex, got 5 digits", "line 2: expected"]),
        (f"pubkey\npubkey\n{TEXTS[0]}", ["line 2: expected 48 bytes of hex, got 6 digits"]),
        ("z" * 96, ["line 1: expected 48 bytes of hex, got other letters"]),
        ("{}", ["expected a JSON list of public keys"]),
        ("[1]", ["item 0: expected 48 bytes of hex in a string"]),
        (json.dumps([{"key": TEXTS[0]}]), ["item 0: expected 48 bytes of hex in a string"]),
        (f'["{TEXTS[0]}"', ["expected a JSON list of public keys"]),
    ],
)
def test_what_is_no_key_is_told_by_its_line(text: str, problems: list[str]) -> None:
    found = wire.public_keys_in(text)[1]
    assert len(found) == len(problems)
    for line, expected in zip(found, problems, strict=True):
        assert line.startswith(expected)


@every_way
def test_settings_files_of_orders_tokens_and_keys(tmp_path: Path, save: Save) -> None:
    path = tmp_path / "file"
    path.write_bytes(save("NETWORK=hoodi\n# ü\nRELAYER_PORT=7\n"))
    assert read_env_file(path) == {"NETWORK": "hoodi", "RELAYER_PORT": "7"}
    path.write_bytes(save(f"public_key,amount_gwei\n{TEXTS[0]},5000000000\n"))
    assert [amount.gwei for amount in read_amounts(path)] == [5_000_000_000]
    path.write_bytes(save(json.dumps([{"public_key": TEXTS[0], "amount_gwei": 5_000_000_000}])))
    assert [amount.gwei for amount in read_amounts(path)] == [5_000_000_000]
    path.write_bytes(save("dvt_0_secret\n"))
    assert read_token(path) == "dvt_0_secret"
    path.write_bytes(save("0x" + "ab" * 31 + "cd\n"))
    path.chmod(0o600)
    secret = b"\xab" * 31 + b"\xcd"
    assert read_storage_key(path).id == StorageKey(secret).id
    address = "0x" + "11" * 20
    contracts = dict.fromkeys(("deposit_contract", "keeper", "registry"), address)
    files = {"config": str(VECTORS / "protocol_config_sample.json"), "key_file": str(path)}
    flags = {"network": "hoodi", "execution_endpoints": ["http://127.0.0.1:1"], **files, **contracts}
    assert read_secret(DemoOracleSettings.load(flags, {})) == secret


def test_an_env_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_bytes("NETWORK=hoodi\nNAME=ü\n".encode("latin-1"))
    with pytest.raises(SettingsError, match="line 2: not UTF-8; save it as UTF-8"):
        read_env_file(path)


def test_certificates_with_a_mark(tmp_path: Path) -> None:
    """OpenSSL would leave the first one out."""
    authority = Authority(tmp_path)
    chain, key = authority.issue("relayer")
    for file in (authority.file, chain, key):
        client_context(authority.file, Certificate(chain, key))
        plain = file.read_text()
        file.write_bytes(SAVED["utf-8-mark"](plain))
        with pytest.raises(CertificateError, match="expected PEM without a byte order mark") as caught:
            client_context(authority.file, Certificate(chain, key))
        assert str(file) in str(caught.value)
        file.write_text(plain)


WALLET_PASSWORDS = {
    "plain": ("correct horse", "correct horse"),
    "as geth takes it": ("e\u0301 ", "e\u0301 \n"),
    "white space is stripped": ("correct horse", "correct horse \n"),
    "NFKC, as ethers has it": ("é", "e\u0301"),
    "NFKD": ("e\u0301", "é"),
    "a mark that is part of it": ("\ufeffsecret", "\ufeffsecret"),
}


@pytest.mark.parametrize(("made_with", "saved"), WALLET_PASSWORDS.values(), ids=WALLET_PASSWORDS)
def test_passwords_of_wallets(tmp_path: Path, made_with: str, saved: str) -> None:
    keystore, password = _wallet(tmp_path, made_with)
    password.write_bytes(saved.encode())
    assert load_account(keystore, password).key == bytes([1]) * 32
    password.write_text("another")
    with pytest.raises(AccountKeyError, match="does not open it"):
        load_account(keystore, password)


@every_way
def test_wallets(tmp_path: Path, save: Save) -> None:
    keystore, password = _wallet(tmp_path, "pässwörd")
    keystore.write_bytes(save(keystore.read_text()))
    password.write_bytes(save("pässwörd"))
    assert load_account(keystore, password).key == bytes([1]) * 32


def _wallet(directory: Path, password: str) -> tuple[Path, Path]:
    keystore = directory / "wallet.json"
    keystore.write_text(json.dumps(Account.encrypt(bytes([1]) * 32, password, kdf="pbkdf2", iterations=2)))
    keystore.chmod(0o600)
    (directory / "wallet.txt").touch(mode=0o600)
    return keystore, directory / "wallet.txt"


@every_way
@pytest.mark.parametrize("password", ["correct horse", "𝔱𝔢𝔰𝔱𝔭𝔞𝔰𝔰 ü"])
def test_what_is_exported_opens_to_who_types_the_password(
    tmp_path: Path, save: Save, password: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dvtfast.services.settings.keys.ExportSettings.kdf", lambda _: Pbkdf2(count=10))
    secret = generate_secret_keys(1)
    keystores.write_keystores(tmp_path / "keys", secret, kdf=Pbkdf2(count=10))
    file = tmp_path / "password"
    file.write_bytes(save(password))
    arguments = ["keys", "export", str(tmp_path / "keys"), str(tmp_path / "out")]
    done = CliRunner().invoke(main, [*arguments, "--password-file", str(file)])
    assert done.exit_code == 0, done.output
    (written,) = (tmp_path / "out").glob("keystore-*.json")
    keystore = keystores.read_keystore(written)
    assert keystores.decrypt(keystore, password) == secret[0].tobytes()
    assert keystore.crypto.is_key(
        keystore.crypto.kdf.derive(keystores.password_forms(password)[0], keystore.crypto.salt)
    )
    shutil.rmtree(tmp_path / "out")
