"""EIP-2335 keystores: one secret key per file, encrypted with a password.

kdf.py        password to key: PBKDF2, scrypt
memory.py     how many scrypts at once
passwords.py  what a password may mean
keystore.py   one keystore: read, write, encrypt, decrypt
files.py      the files of a directory, read once
directory.py  all keystores of a node
"""

from dvtfast.keystores.directory import LoadedKeystores, load_keystores, open_keystores, write_keystores
from dvtfast.keystores.files import KeystoreFile, KeystoreFiles, read_keystore_files
from dvtfast.keystores.kdf import (
    MAX_PBKDF2_COUNT,
    MAX_SCRYPT_WORK,
    PBKDF2_DEFAULT,
    PBKDF2_INSECURE,
    SCRYPT_DEFAULT,
    Derivations,
    Kdf,
    Pbkdf2,
    Scrypt,
)
from dvtfast.keystores.keystore import (
    Encrypted,
    Keystore,
    OutOfMemoryError,
    decrypt,
    encrypt,
    parse_keystore,
    parse_keystore_file,
    read_keystore,
    write_keystore,
)
from dvtfast.keystores.passwords import password_forms

__all__ = [
    "MAX_PBKDF2_COUNT",
    "MAX_SCRYPT_WORK",
    "PBKDF2_DEFAULT",
    "PBKDF2_INSECURE",
    "SCRYPT_DEFAULT",
    "Derivations",
    "Encrypted",
    "Kdf",
    "Keystore",
    "KeystoreFile",
    "KeystoreFiles",
    "LoadedKeystores",
    "OutOfMemoryError",
    "Pbkdf2",
    "Scrypt",
    "decrypt",
    "encrypt",
    "load_keystores",
    "open_keystores",
    "parse_keystore",
    "parse_keystore_file",
    "password_forms",
    "read_keystore",
    "read_keystore_files",
    "write_keystore",
    "write_keystores",
]
