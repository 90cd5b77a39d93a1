"""EIP-2335 keystores: one secret key per file, encrypted with a password.

kdf.py        password to key: PBKDF2, scrypt
passwords.py  what a password may mean
keystore.py   one keystore: read, write, encrypt, decrypt
directory.py  all keystores of a node
"""

from dvtfast.keystores.directory import LoadedKeystores, load_keystores, write_keystores
from dvtfast.keystores.kdf import PBKDF2_DEFAULT, PBKDF2_INSECURE, SCRYPT_DEFAULT, Kdf, Pbkdf2, Scrypt
from dvtfast.keystores.keystore import (
    Encrypted,
    Keystore,
    decrypt,
    encrypt,
    parse_keystore,
    read_keystore,
    write_keystore,
)
from dvtfast.keystores.passwords import password_forms

__all__ = [
    "PBKDF2_DEFAULT",
    "PBKDF2_INSECURE",
    "SCRYPT_DEFAULT",
    "Encrypted",
    "Kdf",
    "Keystore",
    "LoadedKeystores",
    "Pbkdf2",
    "Scrypt",
    "decrypt",
    "encrypt",
    "load_keystores",
    "parse_keystore",
    "password_forms",
    "read_keystore",
    "write_keystore",
    "write_keystores",
]
