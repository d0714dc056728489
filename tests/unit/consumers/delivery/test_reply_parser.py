"""Whatever a relay sends is cut into replies or refused, at once and within bounds."""

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from consumers.delivery.reply_parser import (
    LONGEST_LINE,
    MOST_LINES,
    MOST_REPLIES,
    GarbledReply,
    RawReply,
    ReplyParser,
)

#: Texts as relays write them; a CR counts as text unless it stands before the LF.
TEXTS = st.binary(max_size=40).map(lambda text: text.replace(b"\n", b"").rstrip(b"\r"))
REPLIES = st.builds(
    lambda code, lines: RawReply(code, b"\n".join(lines)),
    st.integers(200, 599),
    st.lists(TEXTS, min_size=1, max_size=4),
)


def on_the_wire(reply: RawReply) -> bytes:
    *first, last = reply.text.split(b"\n")
    lines = [b"%d-%b\r\n" % (reply.code, line) for line in first]
    return b"".join([*lines, b"%d %b\r\n" % (reply.code, last)])


def split_at(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in pairwise(places)]


@given(replies=st.lists(REPLIES, max_size=6), cuts=st.lists(st.integers(0, 2000), max_size=12))
def test_replies_come_out_as_they_went_in(replies: list[RawReply], cuts: list[int]) -> None:
    """However the network cuts the bytes, the same replies are read."""
    parser = ReplyParser()
    data = b"".join(map(on_the_wire, replies))

    read = [reply for piece in split_at(data, cuts) for reply in parser.feed(piece)]

    assert read == replies
    assert not parser.in_reply


@given(pieces=st.lists(st.binary(max_size=300), max_size=20))
@example(pieces=[b"250\r\n", b"250-\n250 \r\n"])
def test_any_bytes_are_read_or_refused(pieces: list[bytes]) -> None:
    """Nothing but `GarbledReply` is raised, and what is read is no larger than what came."""
    parser = ReplyParser()
    read: list[RawReply] = []
    try:
        for piece in pieces:
            read += parser.feed(piece)
    except GarbledReply as error:
        assert len(str(error)) < 400  # noqa: PT017 - reading may as well succeed
    assert all(200 <= reply.code <= 599 for reply in read)
    assert sum(len(reply.text) for reply in read) <= sum(map(len, pieces))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"250\r\n", RawReply(250, b"")),
        (b"250 Ok\n", RawReply(250, b"Ok")),
        (b"250-a\r\n250-b\r\n250 c\r\n", RawReply(250, b"a\nb\nc")),
        (b"250-a\r\n250\r\n", RawReply(250, b"a\n")),
        (b"550 5.1.1 no\rsuch\r\n", RawReply(550, b"5.1.1 no\rsuch")),
    ],
)
def test_a_reply_ends_where_it_ends(data: bytes, expected: RawReply) -> None:
    """With a text or without, with CRLF or LF."""
    assert ReplyParser().feed(data) == [expected]


@pytest.mark.parametrize(
    "data",
    [
        b"hello\r\n",
        b"\r\n",
        b"25 x\r\n",
        b"2500 x\r\n",
        b"250_x\r\n",
        b"199 x\r\n",
        b"600 x\r\n",
        b"000 x\r\n",
        b" 250 x\r\n",
        b"\xb2\xb5\xb0 x\r\n",
        b"250-a\r\n251 b\r\n",
        b"250-a\r\n550-b\r\n",
        b"HTTP/1.1 400 Bad Request\r\n",
        b"\x16\x03\x01\x02\x00\x01\n",
    ],
)
def test_what_is_no_reply_is_refused(data: bytes) -> None:
    """A code out of range, another mark behind it, or lines that do not belong together."""
    with pytest.raises(GarbledReply):
        ReplyParser().feed(data)


@pytest.mark.parametrize(
    "piece",
    [b"250-x\r\n", b"250 x\r\n", b"2", b"x" * 1000, b"250-" + b"x" * 900],
)
def test_nothing_grows_without_end(piece: bytes) -> None:
    """A line, a reply, and the replies at once are bounded, so a relay cannot fill the memory."""
    parser = ReplyParser()
    with pytest.raises(GarbledReply):
        parser.feed(piece * (MOST_REPLIES + MOST_LINES + LONGEST_LINE))


def test_an_endless_line_in_pieces_is_refused() -> None:
    """What waits for its line end is bounded however slowly it comes."""
    parser = ReplyParser()
    for _ in range(LONGEST_LINE):
        parser.feed(b"2")

    with pytest.raises(GarbledReply, match="a line of more than"):
        parser.feed(b"2")


def test_a_reply_that_has_begun_is_known() -> None:
    """A part of a line and a line without the last one are beginnings."""
    parser = ReplyParser()
    begun = []
    for piece in (b"2", b"50-a\r\n", b"250", b" b\r\n"):
        parser.feed(piece)
        begun.append(parser.in_reply)

    assert begun == [True, True, True, False]


@given(st.lists(st.sampled_from([b"250 a\r\n250 b\r\n", b"250 a\r\n250", b" b\r\n", b"250-a\r\n"])))
def test_what_came_before_means_the_same_again(pieces: list[bytes]) -> None:
    """However a parser remembers replies, it says what one says that reads all bytes at once."""
    parser, fresh = ReplyParser(), ReplyParser()
    said: list[RawReply] = []
    for number, piece in enumerate(pieces):
        try:
            said += parser.feed(piece)
        except GarbledReply:
            with pytest.raises(GarbledReply):
                fresh.feed(b"".join(pieces[: number + 1]))
            return
    assert said == fresh.feed(b"".join(pieces))
