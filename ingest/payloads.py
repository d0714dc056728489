"""What clients send: the shape of each body. Values are the business of `ingest.checks`."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Final

from msgspec import Meta, Struct

MAX_KEY_LENGTH: Final = 255
MAX_BATCH_ITEMS: Final = 1_000

Address = Annotated[
    str,
    Meta(
        description="An e-mail address; internationalised domains and local parts are fine.",
        examples=["ada@example.com"],
    ),
]
Name = Annotated[
    str,
    Meta(description="The recipient's name, in any script.", examples=["Ada Lovelace"]),
]
Locale = Annotated[
    str,
    Meta(
        description="A BCP 47 language tag; the template's nearest language is used.",
        examples=["de-AT"],
    ),
]
Data = Annotated[
    Mapping[str, str],
    Meta(description="The template's variables. Missing and unknown ones are refused."),
]
Instant = Annotated[
    datetime,
    Meta(tz=True, description="RFC 3339, with a time zone.", examples=["2031-01-31T09:00:00Z"]),
]


class To(Struct, frozen=True, forbid_unknown_fields=True):
    """The one recipient of a mail."""

    address: Address
    name: Name | None = None


class SignupRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A signup whose address is to be confirmed: the template `signup-confirmation`."""

    email: Address
    confirm_url: Annotated[
        str,
        Meta(
            description="Where the mail's link leads: https, or http to a loopback host.",
            examples=["https://app.example.com/confirm?token=5f3a"],
        ),
    ]
    name: Name | None = None
    locale: Locale | None = None
    data: Data = {}


class EmailRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """One mail from a template to one recipient."""

    template: Annotated[
        str, Meta(description="A template's name.", examples=["welcome", "password-reset"])
    ]
    to: To
    data: Data = {}
    locale: Locale | None = None
    not_before: (
        Annotated[Instant, Meta(description="The mail is not sent before this instant.")] | None
    ) = None
    expires_at: (
        Annotated[
            Instant,
            Meta(
                description="The mail is not sent after this instant. "
                "Without it the template's time to live counts."
            ),
        ]
        | None
    ) = None


class BatchItem(EmailRequest, frozen=True, forbid_unknown_fields=True):
    """One mail of a batch."""

    idempotency_key: (
        Annotated[
            str,
            Meta(description="As the header Idempotency-Key, for this item.", examples=["order-7"]),
        ]
        | None
    ) = None
