"""What to do about a relay that cannot be used, in words for whoever can do it."""

from typing import Final

from consumers.delivery.endpoint import RelayEndpoint, Security
from retry_topics.failure import Failure, FailureClass, Phase

_URL: Final = "MAILCASCADE_SMTP_URL"

_BY_RULE: Final = {
    "name-lookup": f"is the host in {_URL} spelt right, and does this machine's DNS know it?",
    "unreachable": f"is something listening at the host and port in {_URL}, and does a firewall "
    "let us through? Many networks close port 25, and leave 587 (smtp+starttls://) and "
    "465 (smtps://) open.",
    "bad-ca-file": f"?ca= in {_URL} must name a PEM file of certificates that we may read",
    "tls-not-spoken": "the port does not begin with TLS: use smtp+starttls://, mostly on port 587",
    "tls-failed": "the handshake failed: does the relay speak TLS 1.2 or later?",
    "starttls-missing": "the relay does not offer STARTTLS here: use smtps:// (mostly port 465), "
    "or ask its postmaster; mail is never sent in clear text",
    "starttls-injected": "somebody on the way to the relay puts in words: do not trust the network",
    "auth-missing": "the relay does not offer a way to log in that we know: is it the port for "
    "submission (587 or 465)? Where it wants XOAUTH2, give token-file or token-command.",
    "password-unavailable": "password-file must name a file that we may read, with the password "
    "and nothing else in it",
    "token-unavailable": "no token can be had: do token-file or token-command work for our user?",
    "auth-password-transition": "log in once by another client, so that the password is converted",
    "auth-throttled": "wait before the next try: more logins now may lock the account",
    "auth-unavailable": "the relay cannot check passwords at the moment: try again in some minutes",
    "outlook-basic-auth-off": "the account takes no passwords any more: use XOAUTH2 with "
    "token-file or token-command, or have SMTP AUTH enabled for the mailbox",
}
_CERTIFICATE: Final = (
    ("expired", "the relay's certificate has expired: its postmaster must renew it"),
    ("not yet valid", "is this machine's clock right? The certificate is not valid yet"),
    (
        "mismatch",
        f"the certificate is for another name: use in {_URL} the name that it is issued for",
    ),
    ("not valid for", f"the certificate is for another name: use in {_URL} the name it is for"),
    (
        "",
        "nobody whom we trust has signed the certificate: name the authority's file by ?ca=FILE",
    ),
)
_BY_PHASE: Final = {
    Phase.CONNECT: "does the relay run, and does a firewall let us through?",
    Phase.BANNER: "the relay does not want to talk to us: is our address on a block list?",
    Phase.EHLO: f"the relay does not like how we greet: give our host name by ?helo=NAME in {_URL}",
    Phase.STARTTLS: "the relay's TLS does not work: ask its postmaster",
    Phase.AUTH: f"are user and password in {_URL} right (percent-encoded), and may the account "
    "send by SMTP? Some providers want an app password.",
}
_WAIT: Final = "it may go by itself: try again in some minutes"


def advice_for(failure: Failure, relay: RelayEndpoint) -> str:
    """Return what to do about a failure before the first mail."""
    if failure.rule == "certificate-refused":
        return next(advice for word, advice in _CERTIFICATE if word in failure.text.lower())
    if failure.rule in _BY_RULE:
        return _BY_RULE[failure.rule]
    if failure.rule == "timeout" and failure.phase is Phase.CONNECT:
        return _BY_RULE["unreachable"]
    if failure.rule in ("garbled-reply", "timeout") and relay.security is not Security.TLS:
        return "is this a mail relay? If the port begins with TLS, use smtps://"
    if failure.kind in (FailureClass.TRANSIENT, FailureClass.THROTTLE):
        return _WAIT
    return _BY_PHASE[failure.phase]
