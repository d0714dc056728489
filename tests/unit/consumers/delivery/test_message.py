"""The wire form of a mail cannot end early or smuggle another one."""

from hypothesis import given
from hypothesis import strategies as st

from consumers.delivery.message import Message


def wire(content: bytes) -> bytes:
    return Message("<1@x>", "a@x", "b@x", content).wire_form()


def unstuffed(data: bytes) -> bytes:
    lines = data.split(b"\r\n")
    assert lines[-2:] == [b".", b""]
    return (
        b"\r\n".join([line[1:] if line.startswith(b".") else line for line in lines[:-2]]) + b"\r\n"
    )


def test_content_with_proper_line_ends_stays_as_it_is() -> None:
    """Only dots at line starts are doubled, and the final dot follows."""
    assert wire(b"A: b\r\n\r\n.\r\n..x\r\ny.\r\n") == b"A: b\r\n\r\n..\r\n...x\r\ny.\r\n.\r\n"


@given(st.lists(st.sampled_from([b".", b"\r", b"\n", b"\r\n", b"x", b"\r\n.\r\n"])).map(b"".join))
def test_nothing_ends_the_mail_before_its_end(content: bytes) -> None:
    """No bare CR or LF leaves, and no line is a lone dot but the last."""
    data = wire(content)

    assert data.replace(b"\r\n", b"").count(b"\n") == 0
    assert data.replace(b"\r\n", b"").count(b"\r") == 0
    assert data.split(b"\r\n").count(b".") == 1


@given(st.lists(st.binary(max_size=20).map(lambda raw: raw.translate(None, b"\r\n"))))
def test_the_relay_reads_what_was_meant(lines: list[bytes]) -> None:
    """Taking the dots off again gives the content back."""
    content = b"".join(line + b"\r\n" for line in [b"x", *lines])

    assert unstuffed(wire(content)) == content
