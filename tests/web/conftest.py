import pytest

from app.web import passwords


@pytest.fixture
def quick_hashes(monkeypatch):
    """Hash passwords in no time. The web app takes 0.1 s for each, by the cost that test_passwords.py holds."""
    monkeypatch.setattr(passwords, "COST", 2**7)
