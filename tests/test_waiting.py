from tests.waiting import LONG


def test_a_wait_ends_before_its_test_is_stopped_and_so_says_what_has_not_come(pytestconfig):
    assert float(pytestconfig.getini("timeout")) > LONG
