import hashlib

import pytest
from werkzeug.security import check_password_hash

from app.web.passwords import Password, Tokens

PASSWORD = "Schlüssel zum Garten"


@pytest.fixture(scope="module")
def password():
    return Password(PASSWORD, secret="a secret")


def test_only_the_password_is_right(password):
    assert password.is_right(PASSWORD)
    assert password.is_right("Schlu\u0308ssel zum Garten")  # the same letters, as a Mac may send them
    for typed in ("", PASSWORD.upper(), f"{PASSWORD} ", PASSWORD[:-1], "\0", f"{PASSWORD}\0", PASSWORD * 1000):
        assert not password.is_right(typed), typed


def test_the_hash_is_scrypts_and_the_password_is_not_kept(password):
    kept = password._hash
    assert check_password_hash(kept, PASSWORD)
    method, salt, digest = kept.split("$")
    assert method == "scrypt:32768:8:1"
    made = hashlib.scrypt(PASSWORD.encode(), salt=salt.encode(), n=2**15, r=8, p=1, maxmem=2**26)
    assert digest == made.hex()
    assert PASSWORD not in repr(vars(password))


def test_the_key_of_sessions_stays_until_password_or_secret_changes(password):
    assert Password(PASSWORD, secret="a secret").session_key == password.session_key
    others = [Password("another password", secret="a secret"), Password(PASSWORD, secret="another secret")]
    assert len({password.session_key, *(other.session_key for other in others)}) == 3


def test_tokens_are_known_as_a_whole():
    tokens = Tokens(["0123456789abcdef", "fedcba9876543210"])
    assert tokens.has("0123456789abcdef")
    assert tokens.has("fedcba9876543210")
    for sent in ("", "0123456789abcde", "0123456789abcdef,fedcba9876543210", "0123456789ABCDEF", "ä"):
        assert not tokens.has(sent), sent
    assert not Tokens([]).has("")
    assert "0123456789abcdef" not in repr(vars(tokens))
