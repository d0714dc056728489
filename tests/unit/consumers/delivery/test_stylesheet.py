"""Rules go into the elements that they are for, and the rest of a template's source stays."""

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Environment, StrictUndefined

from consumers.delivery.stylesheet import Uninlinable, inline_styles

CSS = "<style>.a{color:red}p{margin:0}</style>"


def test_rules_become_styles() -> None:
    """In the order of the cascade, and what is inlined leaves <style>."""
    source = f'<head>{CSS}</head><p class="a">x</p><b>y</b>'

    assert inline_styles(source) == (
        '<head></head><p style="margin: 0;color: red" class="a">x</p><b>y</b>'
    )


def test_what_no_attribute_can_say_stays_in_style() -> None:
    """Media queries and states of an element are for the programs that know them."""
    source = (
        "<style>p{margin:0} a:hover{color:red}\n"
        "@media (max-width:600px){.a{width:100% !important}}</style><p class=a><a>x</a></p>"
    )

    done = inline_styles(source)

    assert '<p style="margin: 0" class=a><a>x</a></p>' in done
    style = done[: done.index("</style>")]
    assert "a:hover" in style
    assert "@media (max-width:600px)" in style
    assert ".a{width:100% !important}" in style
    assert "margin" not in style


def test_an_elements_own_style_wins() -> None:
    """It comes last, quotes in whatever way."""
    source = """<style>p{margin:0}</style><p style='color:"x"' id=z>x</p>"""

    assert inline_styles(source) == '<p style="margin: 0; color:&quot;x&quot;" id=z>x</p>'


def test_a_source_without_style_is_not_touched() -> None:
    """Not a byte of it."""
    source = "<P  Style='x' {% if a %}class=b{% endif %}>&nbsp;<br/><table><tr>{{ a }}</table>"

    assert inline_styles(source) == source


def test_a_style_for_a_medium_is_left_alone() -> None:
    """It is not for what a mail program shows."""
    source = '<style media="print">p{color:red}</style><p>x</p>'

    assert inline_styles(source) == source
    assert inline_styles("<style>p{margin:0}</style>" + source) == (
        '<style media="print">p{color:red}</style><p style="margin: 0">x</p>'
    )


JINJA = """<style>
.a { color: {{ colour|default("red") }}; font-family: "Segoe UI" }
td { padding: 4px }
</style>
{# <p class="a"> in a comment #}
{%- if name < "}}" or "%}" > name %}<div class="a">{% else %}<div>{% endif %}
<p class="a">{{ name }} &nbsp;&lt;</p></div>
<table>{% for item in items -%}
<tr><td><a href="{{ url }}?x={{ '"' }}" style="width:{{ width }}px">{{ item }}</a></td></tr>
{% endfor %}</table>
{% if name %}<a class="a" href="x">{% endif %}{{ name }}{% if name %}</a>{% endif %}<br/>
{% raw %}{{ name }}{% endraw %}
"""
VALUES = {"name": "<Ada>", "url": "https://x/?a&b", "width": "7", "items": ["1", "2"]}


class Shown(HTMLParser):
    """What a document says, without styles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.events: list[object] = []
        self.styles: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.styles += [str(value) for name, value in attrs if name == "style"]
        if tag != "style":
            self.events.append((tag, [item for item in attrs if item[0] != "style"]))

    def handle_endtag(self, tag: str) -> None:
        if tag != "style":
            self.events.append(tag)

    def handle_data(self, data: str) -> None:
        if data.strip() and "{ color" not in data:
            self.events.append(data.strip())


def rendered(source: str) -> str:
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    return environment.from_string(source).render(VALUES)


def test_jinja_survives() -> None:
    """The template renders to the same document as before, but for its styles."""
    before, after = Shown(rendered(JINJA)), Shown(rendered(inline_styles(JINJA)))

    assert after.events == before.events
    assert after.styles == [
        "color: red;font-family: 'Segoe UI'",
        "color: red;font-family: 'Segoe UI'",
        *["padding: 4px", "width:7px"] * 2,
        "color: red;font-family: 'Segoe UI'",
    ]


@given(
    st.lists(
        st.sampled_from(
            [
                "{{ name }}", "{% if name %}", "{% endif %}", "{# <p> #}", "<p>", "</p>", "<b",
                ' class="a"', ' title="{{ name }}"', ">", "<!-- {{ x }} <p> -->", "&amp;", "\n",
                "é中", "<br/>", "<td>", "</td>", "'", '"', "{", "<", "</style>", "<title>",
            ]
        )
    ).map("".join)
)  # fmt: skip
def test_nothing_but_styles_changes(source: str) -> None:
    """Whatever the source is, without the added attributes it is what it was."""
    try:
        done = inline_styles("<style>.a{color:red}p{margin:0}x{y:z}</style>" + source)
    except Uninlinable:
        return

    rest = done.partition("</style>")[2]
    for added in (' style="margin: 0;color: red"', ' style="margin: 0"', ' style="color: red"'):
        rest = rest.replace(added, "")
    assert rest == source


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        (CSS + '\n<p class="{{ name }}">x</p>', "line 2: the class, id or style of <p>"),
        (CSS + "<p {% if a %}class=a{% endif %}>x</p>", "line 1: the class, id or style of <p>"),
        (CSS + "{# a\nb #}\n<p id={{ a }}>x</p>", "line 3: the class, id or style of <p>"),
        ("<style>{% if a %}p{margin:0}{% endif %}</style><p>", r"line 1: .* Jinja other than"),
        ("{% if a %}\n" + CSS + "{% endif %}<p>", "line 2: a <style> under a condition"),
        (CSS + "\ue000", "private use"),
    ],
)
def test_what_depends_on_values_is_refused(source: str, problem: str) -> None:
    """When the template is loaded nobody knows them; the message tells where they are."""
    with pytest.raises(Uninlinable, match=problem):
        inline_styles(source)


def test_rules_stay_where_other_sources_may_need_them() -> None:
    """What is included may have elements of the same classes."""
    source = CSS + '<p>x</p>{% include "other/en/body.html" %}'

    assert inline_styles(source).startswith(CSS + '<p style="margin: 0">')
