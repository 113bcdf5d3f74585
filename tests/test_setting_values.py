import pytest

from image_embeddings.config import load_settings
from image_embeddings.errors import SettingError


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("", ()),
        ("Photos.Example.org:8443,", ("photos.example.org",)),
        ("*.example.org, .example.com", (".example.org", ".example.com")),
        ("bücher.example, photo_search", ("xn--bcher-kva.example", "photo_search")),
        ("127.0.0.1, ::1, [::1]", ("127.0.0.1", "[::1]", "[::1]")),
        ("*", ("*",)),
    ],
)
def test_host_names_are_kept_as_browsers_send_them(value, names):
    assert load_settings({"TRUSTED_HOSTS": value}).trusted_hosts == names


@pytest.mark.parametrize(
    "value", ["https://a.example", "a.example/photos", "a b", "a..b", ".", "*.", "a.*", "x" * 64 + ".org", "a:b", "[x]"]
)
def test_what_is_no_host_name_is_refused(value):
    with pytest.raises(SettingError, match=r"TRUSTED_HOSTS has value '.*'\. Not a list of host names"):
        load_settings({"TRUSTED_HOSTS": value})


def test_a_setting_is_switched_off_by_any_usual_word():
    for word in ("0", "false", "False", "no", "off"):
        assert not load_settings({"ES_VERIFY_CERTS": word}).es_verify_certs, word
    for word in ("1", "true", "yes", "on"):
        assert load_settings({"ES_VERIFY_CERTS": word}).es_verify_certs, word


def test_host_names_come_as_a_list():
    assert load_settings({"TRUSTED_HOSTS": "localhost, 127.0.0.1,"}).trusted_hosts == ("localhost", "127.0.0.1")
