"""The catcher's web side: a page that lists what was caught, one per mail, and the same as JSON."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from console.stack.catcher.script import RULES
from console.stack.catcher.smtp import SmtpListener
from console.stack.catcher.store import CaughtMail, MailStore

_PAGES: Final = Path(__file__).with_name("pages")
_PAGE_SIZE: Final = 100
_MAX_PAGE_SIZE: Final = 1_000

# Mails are foreign content. The page runs no script at all, and a mail's HTML is shown in a frame
# that may neither run anything nor load anything.
_PAGE_POLICY: Final = "default-src 'none'; style-src 'self'; frame-src 'self'; base-uri 'none'"
_MAIL_POLICY: Final = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_GUARDS: Final = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}


def build_app(store: MailStore, listener: SmtpListener) -> Starlette:
    """Return the web application on a store of mails."""
    site = _Site(store, listener)
    return Starlette(
        routes=[
            Route("/", site.index),
            Route("/style.css", site.style),
            Route("/mails/{number:int}", site.show),
            Route("/mails/{number:int}/html", site.html_part),
            Route("/mails/{number:int}/raw", site.raw),
            Route("/api/mails", site.api_mails),
            Route("/api/mails/{number:int}", site.api_mail),
            Route("/api/summary", site.api_summary),
            Route("/api/listening", site.api_listening, methods=["GET", "PUT"]),
        ],
        # A page elsewhere that resolves its own name to loopback must not read the mails.
        middleware=[
            Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost", "[::1]"])
        ],
    )


class _Site:
    """The handlers and what they share."""

    def __init__(self, store: MailStore, listener: SmtpListener) -> None:
        self._store = store
        self._listener = listener
        self._pages = Environment(
            loader=FileSystemLoader(_PAGES), autoescape=True, undefined=StrictUndefined
        )
        self._pages.filters["time"] = _time

    async def index(self, request: Request) -> Response:
        matching = self._matching(request)
        older_than = _number(request, "before", 0)
        shown = [mail for mail in reversed(matching) if not older_than or mail.number < older_than]
        return self._page(
            "index.html",
            mails=shown[:_PAGE_SIZE],
            more=len(shown) > _PAGE_SIZE,
            to=request.query_params.get("to", ""),
            summary=self._store.summary(),
            listener=self._listener,
            rules=RULES,
        )

    async def style(self, _: Request) -> Response:
        return FileResponse(_PAGES / "style.css", headers=_GUARDS)

    async def show(self, request: Request) -> Response:
        mail = self._mail(request)
        parsed = mail.parsed()
        return self._page(
            "mail.html",
            mail=mail,
            headers=_headers(parsed),
            text=body(parsed, "plain"),
            has_html=body(parsed, "html") is not None,
        )

    async def html_part(self, request: Request) -> Response:
        content = body(self._mail(request).parsed(), "html")
        if content is None:
            raise HTTPException(404, "this mail has no HTML part")
        return HTMLResponse(content, headers={**_GUARDS, "Content-Security-Policy": _MAIL_POLICY})

    async def raw(self, request: Request) -> Response:
        mail = self._mail(request)
        disposition = f'attachment; filename="mail-{mail.number}.eml"'
        headers = {**_GUARDS, "Content-Disposition": disposition}
        return Response(mail.content, media_type="message/rfc822", headers=headers)

    async def api_mails(self, request: Request) -> Response:
        after = _number(request, "after", 0)
        limit = min(_number(request, "limit", _PAGE_SIZE), _MAX_PAGE_SIZE)
        newer = [mail for mail in self._matching(request) if mail.number > after]
        return JSONResponse([_digest(mail) for mail in newer[:limit]], headers=_GUARDS)

    async def api_mail(self, request: Request) -> Response:
        mail = self._mail(request)
        parsed = mail.parsed()
        details = {
            "headers": _headers(parsed),
            "text": body(parsed, "plain"),
            "html": body(parsed, "html"),
        }
        return JSONResponse({**_digest(mail), **details}, headers=_GUARDS)

    async def api_summary(self, _: Request) -> Response:
        summary = self._store.summary()
        counts = {
            "accepted": summary.accepted,
            "refused": dict(summary.refused),
            "dropped": summary.dropped,
            "listening": self._listener.is_up,
        }
        return JSONResponse(counts, headers=_GUARDS)

    async def api_listening(self, request: Request) -> Response:
        """Take the mail server down with the JSON body `false`, and up again with `true`."""
        if request.method == "PUT":
            match await request.body():
                case b"true":
                    await self._listener.up()
                case b"false":
                    await self._listener.down()
                case _:
                    raise HTTPException(400, "the body must be true or false")
        return JSONResponse(self._listener.is_up, headers=_GUARDS)

    def _matching(self, request: Request) -> list[CaughtMail]:
        address = request.query_params.get("to", "").strip()
        return self._store.to(address) if address else self._store.mails()

    def _mail(self, request: Request) -> CaughtMail:
        mail = self._store.get(request.path_params["number"])
        if mail is None:
            raise HTTPException(404, "no such mail, or it is forgotten")
        return mail

    def _page(self, name: str, **values: object) -> Response:
        headers = {**_GUARDS, "Content-Security-Policy": _PAGE_POLICY}
        return HTMLResponse(self._pages.get_template(name).render(values), headers=headers)


def body(parsed: EmailMessage, subtype: str) -> str | None:
    """Return the text of the mail's plain or HTML part, None where it has none."""
    part = parsed.get_body((subtype,))
    if part is None:
        return None
    raw = part.get_payload(decode=True)
    charset = part.get_content_charset("utf-8")
    try:
        return raw.decode(charset, "replace") if isinstance(raw, bytes) else ""
    except LookupError:
        return raw.decode("latin-1") if isinstance(raw, bytes) else ""


def _headers(parsed: EmailMessage) -> list[tuple[str, str]]:
    return [(name, str(value)) for name, value in parsed.items()]


def _digest(mail: CaughtMail) -> Mapping[str, Any]:
    return {
        "number": mail.number,
        "received_at": mail.received_at,
        "from": mail.envelope_from,
        "to": list(mail.recipients),
        "subject": mail.subject,
        "message_id": mail.message_id,
        "size": len(mail.content),
    }


def _time(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _number(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, "")
    if not text:
        return default
    if not text.isascii() or not text.isdigit():
        raise HTTPException(400, f"{name} must be a whole number")
    return int(text)
