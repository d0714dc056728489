"""How many mails came twice."""

from collections import Counter

from bench.repeats import rows


def test_a_mail_that_came_three_times_came_twice_too_often() -> None:
    """What is counted are acceptances beyond each recipient's first one."""
    table = dict(rows(Counter(a=1, b=2, c=1), Counter(a=3, b=2, c=1), kills=4))

    assert table["workers killed, of each host"] == "4"
    assert table["mails, to each host"] == "3"
    assert table["mails that came twice, with the journal"] == "1"
    assert table["mails that came twice, without a journal"] == "3"
