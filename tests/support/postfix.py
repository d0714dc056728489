"""A Postfix of the tests' own on a loopback port: the mail server that most relays really are.

It runs from a private configuration and queue, delivers what it takes into a maildir, and answers
by recipient and subject as the tables below say. Two further ports take mail only after a login, by
PLAIN or by LOGIN. Only root can start it: it gives its parts to users of their own.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Self

from console.stack.children import Child, ChildSpec
from console.stack.ports import HOST, free_ports, is_free
from tests.support.certificates import ServerCertificate
from tests.support.sasl import PasswordDaemon, configuration
from tests.support.wait import wait_until

MISSING: Final = "these tests talk to a real Postfix:  apt-get install postfix libsasl2-modules"
NOT_ROOT: Final = "only root can start Postfix, which gives its parts to users of their own"

SIZE_LIMIT: Final = 20_000
UNKNOWN: Final = "unknown@example.org"
GREYLISTED: Final = "greylisted@example.org"
FOREIGN: Final = "somebody@elsewhere.example"
REFUSED_SUBJECT: Final = "refuse this content"

_START_SECONDS: Final = 30.0
_USER: Final = "postfix"
_MAILBOX_OWNER: Final = "nobody"
_RECIPIENTS: Final = f"""
{UNKNOWN} 550 5.1.1 User unknown in virtual mailbox table
{GREYLISTED} 450 4.2.0 Greylisted, try again in 5 minutes
"""
_HEADERS: Final = f"/^Subject: {REFUSED_SUBJECT}/ REJECT 5.7.1 Spam message rejected\n"
_SERVICES: Final = """
{host}:{port} inet n - n - - smtpd
{host}:{tls_port} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes
{host}:{plain_port} inet n - n - - smtpd -o smtpd_sasl_path=plain {login_needed}
{host}:{login_port} inet n - n - - smtpd -o smtpd_sasl_path=login {login_needed}
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
virtual unix - n n - - virtual
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""
_LOGIN_NEEDED: Final = (
    "-o smtpd_sasl_auth_enable=yes -o smtpd_tls_auth_only=yes"
    " -o smtpd_client_restrictions=permit_sasl_authenticated,reject"
)


def find_program() -> str | None:
    """Return where `postfix` is: on PATH, or where Debian has it."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin"])
    return shutil.which("postfix", path=path)


class PostfixServer:
    """Postfix with STARTTLS on `port` and TLS from the first byte on `tls_port`.

    On `login_ports`, by mechanism, it offers STARTTLS and then AUTH.
    """

    def __init__(self, certificate: ServerCertificate) -> None:
        program = find_program()
        assert program is not None, MISSING
        self._program = program
        self._certificate = certificate
        self.port, self.tls_port, plain, login = free_ports(4)
        self.login_ports = {"PLAIN": plain, "LOGIN": login}
        # The path to its sockets must be short, and its users must get there.
        self._directory = Path(tempfile.mkdtemp(prefix="mailcascade-postfix-"))
        self._maildir = self._directory / "mail" / "box"
        self._child: Child | None = None
        self._passwords = ExitStack()

    def __enter__(self) -> Self:
        self._configure()
        self._passwords.enter_context(PasswordDaemon(self._directory / "passwords"))
        config, log = str(self._directory / "config"), self._directory / "log"
        # Makes the queue's directories. `start-fg` would do so, too, but not end on a signal.
        subprocess.run([self._program, "-c", config, "check"], check=True, capture_output=True)
        command = [f"{self._daemons()}/master", "-c", config, "-s"]
        self._child = Child(ChildSpec("postfix", command, self._directory / "output"))
        try:
            wait_until(self._listens, _START_SECONDS, "Postfix listens")
        except AssertionError as error:
            error.add_note(log.read_text(encoding="utf-8") if log.exists() else "it has no log")
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._child is not None:
            self._child.stop()
        self._passwords.close()
        shutil.rmtree(self._directory, ignore_errors=True)

    def delivered(self) -> list[bytes]:
        """Return the mails that are in the mailbox, CRLF at their line ends, in no order."""
        files = (self._maildir / "new").glob("*")
        return [file.read_bytes().replace(b"\n", b"\r\n") for file in files]

    def _daemons(self) -> str:
        asked = [str(Path(self._program).with_name("postconf")), "-dh", "daemon_directory"]
        return subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()

    def _listens(self) -> bool:
        assert self._child is not None
        assert self._child.exit_code() is None, "Postfix has ended"
        ports = (self.port, self.tls_port, *self.login_ports.values())
        return not any(is_free(port) for port in ports)

    def _configure(self) -> None:
        self._directory.chmod(0o755)
        config, queue = self._directory / "config", self._directory / "queue"
        data, mail = self._directory / "data", self._directory / "mail"
        for directory in (config, queue, data, mail):
            directory.mkdir()
        shutil.chown(data, _USER)
        shutil.chown(mail, _MAILBOX_OWNER)
        (config / "recipients").write_text(_RECIPIENTS)
        (config / "headers").write_text(_HEADERS)
        (config / "sasl").mkdir()
        for mechanism in self.login_ports:
            text = configuration(self._directory / "passwords", mechanism)
            (config / "sasl" / f"{mechanism.lower()}.conf").write_text(text)
        services = _SERVICES.format(
            host=HOST,
            port=self.port,
            tls_port=self.tls_port,
            plain_port=self.login_ports["PLAIN"],
            login_port=self.login_ports["LOGIN"],
            login_needed=_LOGIN_NEEDED,
        )
        (config / "master.cf").write_text(services)
        settings = self._settings(config, queue, data, mail)
        (config / "main.cf").write_text("".join(f"{k} = {v}\n" for k, v in settings.items()))

    def _settings(self, config: Path, queue: Path, data: Path, mail: Path) -> dict[str, object]:
        owner = pwd.getpwnam(_MAILBOX_OWNER)
        return {
            "compatibility_level": "3.6",
            "queue_directory": queue,
            "data_directory": data,
            "maillog_file": self._directory / "log",
            "maillog_file_prefixes": self._directory,
            "inet_interfaces": HOST,
            "inet_protocols": "ipv4",
            "myhostname": "postfix.example",
            "mydestination": "",
            "mynetworks": "127.0.0.0/8",
            "alias_maps": "",
            "local_recipient_maps": "",
            "virtual_mailbox_domains": "example.org",
            "virtual_mailbox_base": mail,
            "virtual_mailbox_maps": "static:box/",
            "virtual_uid_maps": f"static:{owner.pw_uid}",
            "virtual_gid_maps": f"static:{owner.pw_gid}",
            "smtpd_peername_lookup": "no",
            "smtpd_recipient_restrictions": f"check_recipient_access texthash:{config}/recipients,"
            " reject_unauth_destination",
            "smtpd_relay_restrictions": "",
            "header_checks": f"regexp:{config}/headers",
            "message_size_limit": SIZE_LIMIT,
            "cyrus_sasl_config_path": config / "sasl",
            "smtpd_tls_security_level": "may",
            "smtpd_tls_cert_file": self._certificate.path,
            "smtpd_tls_key_file": self._certificate.path,
        }
