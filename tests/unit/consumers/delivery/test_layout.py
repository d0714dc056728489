"""A layout gives what Jinja gives, for every source that has one; the others are Jinja's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Environment, StrictUndefined, UndefinedError

from consumers.delivery.layout import layout_of
from schemas.catalogue import DEFAULT_DIRECTORY, Catalogue

_NAMES = ("name", "app_name", "confirm_url")
_PLAIN, _HTML = (
    Environment(
        autoescape=escapes,  # noqa: S701 - texts are no HTML
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    for escapes in (False, True)
)

_texts = st.text(alphabet=st.sampled_from("ab <>&\"'\n\r-.é{}"), max_size=8).filter(
    lambda text: "{" not in text and "}" not in text
)
_names = st.sampled_from(_NAMES)
_holes = _names.map(lambda name: f"{{{{ {name} }}}}")


def _branches(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.builds(
        lambda mark, name, full, empty: (
            f"{{%{mark} if {name} {mark}%}}{full}"
            + ("" if empty is None else f"{{% else %}}{empty}")
            + "{% endif %}"
        ),
        st.sampled_from(["", "-"]),
        _names,
        inner,
        st.none() | inner,
    )


_sources = st.recursive(
    st.lists(_texts | _holes, max_size=6).map("".join),
    lambda inner: st.lists(inner | _branches(inner), max_size=4).map("".join),
    max_leaves=8,
)
_values = st.fixed_dictionaries({name: st.text(max_size=12) for name in _NAMES})


@given(_sources, _values, st.sampled_from([_PLAIN, _HTML]))
def test_a_layout_says_what_jinja_says(
    source: str, values: dict[str, str], environment: Environment
) -> None:
    layout = layout_of(source, environment)
    assert layout is not None
    expected = environment.from_string(source).render(values)
    assert layout.fill(values).text() == expected
    assert layout.fill(values).text() == expected, "the second mail is like the first"


@given(_sources, st.dictionaries(_names, st.text(max_size=3)))
def test_what_is_missing_is_refused_or_not_needed(source: str, values: dict[str, str]) -> None:
    layout = layout_of(source, _PLAIN)
    assert layout is not None
    compiled = _PLAIN.from_string(source)
    try:
        shown = layout.fill(values).text()
    except LookupError:
        return
    assert shown == compiled.render(values)


def test_a_missing_variable_is_a_lookup_error_where_jinja_minds_it() -> None:
    layout = layout_of("{{ name }}", _PLAIN)
    assert layout is not None
    with pytest.raises(LookupError):
        layout.fill({})
    with pytest.raises(UndefinedError):
        _PLAIN.from_string("{{ name }}").render()


@pytest.mark.parametrize(
    "source",
    [
        "{{ name | upper }}",
        "{{ name.x }}",
        "{{ 'constant' }}",
        "{% set name = 'x' %}{{ name }}",
        "{% for letter in name %}{{ letter }}{% endfor %}",
        "{% if name == 'x' %}x{% endif %}",
        "{% if name %}x{% elif app_name %}y{% endif %}",
        "{% include 'other' %}",
        "{% raw %}{{ name }}{% endraw %}{{ name ~ name }}",
        "{{ range }}",
        "".join(f"{{% if v{number} %}}x{{% endif %}}" for number in range(9)),
    ],
)
def test_what_uses_more_of_jinja_is_left_to_jinja(source: str) -> None:
    assert layout_of(source, _HTML) is None


def test_what_we_ship_has_layouts_but_for_the_lines_of_plain() -> None:
    catalogue = Catalogue.load(DEFAULT_DIRECTORY)
    without = {
        (name, kind)
        for name in catalogue.names
        for locale in catalogue.get(name).locales
        for kind in ("subject", "text", "html")
        if layout_of(getattr(catalogue.get(name).source(locale), kind), _HTML) is None
    }
    assert without == {("plain", "html")}
