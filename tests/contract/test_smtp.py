"""The mail transport over SMTP, against a real server: what goes out, and the server's refusals in the port's words."""

import asyncio
import email
import socket
import ssl
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email import policy
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from msgspec.structs import replace

from shortlist.config import Smtp
from shortlist.errors import ContractError, MessageRejectedError, TransientError
from shortlist.mail.delivery import MARGIN_S
from shortlist.ports import OutgoingMessage
from shortlist.smtp import BUDGET_S, Login, SmtpTransport
from tests.mailing import Mailing, recipient

MESSAGE = OutgoingMessage(
    sender="Corner Shop <hello@shop.example.com>",
    recipient="ann@example.com",
    mime=b"From: hello@shop.example.com\r\nMessage-ID: <m1@shop.example.com>\r\n\r\n.one dot\r\n..two\r\nend\r\n",
    tags={"campaign": "weekly-picks", "run": "r1", "user0": "dTE"},
)


ANYBODY = Login()


class Inbox:
    """aiosmtpd's handler: keeps what it takes, and answers as `refusals` says for a sender, recipient or content."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, list[str], bytes]] = []
        self.refusals: dict[str, str] = {}
        self.connections: set[int] = set()
        self.hang_up_at = ""

    async def handle_MAIL(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any) -> str:
        self.connections.add(id(session))
        self._hang_up(server, "MAIL")
        envelope.mail_from = address
        return self.refusals.get(address, "250 OK")

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any) -> str:
        self._hang_up(server, "RCPT")
        refusal = self.refusals.get(address)
        if refusal is None:
            envelope.rcpt_tos.append(address)
        return refusal or "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        refusal = self.refusals.get("DATA")
        if refusal is None:
            self.taken.append((envelope.mail_from or "", envelope.rcpt_tos, bytes(envelope.original_content or b"")))
        self._hang_up(server, "answer")
        return refusal or "250 OK"

    def _hang_up(self, server: SMTP, at: str) -> None:
        if self.hang_up_at == at:
            self.hang_up_at = ""
            server.transport.abort()
            raise asyncio.CancelledError

    def deliveries(self) -> Counter[str]:
        return Counter(address for _, addresses, _ in self.taken for address in addresses)


class Server:
    """One aiosmtpd server and the transports made for it."""

    def __init__(self, inbox: Inbox, **how: Any) -> None:
        self.inbox = inbox
        self.controller = Controller(inbox, hostname="127.0.0.1", port=free_port(), **how)
        self.controller.start()
        self.transports: list[SmtpTransport] = []

    def transport(
        self, login: Login = ANYBODY, context: ssl.SSLContext | None = None, **settings: Any
    ) -> SmtpTransport:
        server = Smtp(**{"host": "localhost", "port": self.controller.port, "security": "none", **settings})
        self.transports.append(SmtpTransport(server, lambda: login, context))
        return self.transports[-1]

    def stop(self) -> None:
        for transport in self.transports:
            transport.close()
        self.controller.stop()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture
def server() -> Iterator[Server]:
    opened = Server(Inbox())
    yield opened
    opened.stop()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a key and a certificate for localhost that is its own authority."""
    key, name = (
        ec.generate_private_key(ec.SECP256R1()),
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")]),
    )
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(key.private_bytes(*form) + signed.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
def tls_server(certificate: Path) -> Iterator[Server]:
    """Wants TLS first, then the login of `shop`."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)

    def authenticate(server: SMTP, session: Session, envelope: Envelope, mechanism: str, given: Any) -> AuthResult:
        known = isinstance(given, LoginPassword) and (given.login, given.password) == (b"shop", b"secret")
        return AuthResult(success=known, handled=known)

    opened = Server(
        Inbox(),
        tls_context=context,
        require_starttls=True,
        auth_required=True,
        authenticator=authenticate,
    )
    yield opened
    opened.stop()


def test_a_message_arrives_byte_for_byte_and_its_id_comes_back(server: Server) -> None:
    message_id = server.transport().send(MESSAGE)

    assert message_id == "m1@shop.example.com"
    assert server.inbox.taken == [("hello@shop.example.com", ["ann@example.com"], MESSAGE.mime)]


def test_one_connection_serves_many_messages(server: Server) -> None:
    transport = server.transport()

    for number in range(5):
        transport.send(replace(MESSAGE, recipient=f"user{number}@example.com"))

    assert len(server.inbox.taken) == 5
    assert len(server.inbox.connections) == 1


def test_a_connection_that_the_server_closed_is_replaced_and_nothing_is_sent_twice(server: Server) -> None:
    transport = server.transport()
    transport.send(MESSAGE)
    server.inbox.hang_up_at = "MAIL"

    transport.send(MESSAGE)

    assert len(server.inbox.taken) == 2
    assert len(server.inbox.connections) == 2


@pytest.mark.parametrize(
    ("refused", "answer", "error"),
    [
        ("hello@shop.example.com", "550 not you", ContractError),
        ("hello@shop.example.com", "451 not now", TransientError),
        ("ann@example.com", "550 no such user ann@example.com", MessageRejectedError),
        ("ann@example.com", "450 greylisted, ann@example.com", TransientError),
        ("DATA", "554 looks like spam", MessageRejectedError),
        ("DATA", "452 out of disk", TransientError),
    ],
)
def test_each_refusal_has_its_word_and_names_no_recipient(
    server: Server, refused: str, answer: str, error: type[Exception]
) -> None:
    server.inbox.refusals[refused] = answer
    transport = server.transport()

    with pytest.raises(error) as raised:
        transport.send(MESSAGE)
    server.inbox.refusals.clear()
    transport.send(MESSAGE)

    assert raised.type is error
    assert "ann@example.com" not in str(raised.value)
    assert len(server.inbox.taken) == 1


@pytest.mark.parametrize("at", ["MAIL", "RCPT"])
def test_a_server_that_hangs_up_before_the_content_has_certainly_taken_nothing(server: Server, at: str) -> None:
    server.inbox.hang_up_at = at

    with pytest.raises(TransientError):
        server.transport().send(MESSAGE)

    assert server.inbox.taken == []


def test_a_server_that_hangs_up_after_the_content_leaves_it_open_whether_it_took_it(server: Server) -> None:
    server.inbox.hang_up_at = "answer"

    with pytest.raises(OSError) as raised:
        server.transport().send(MESSAGE)

    assert not isinstance(raised.value, TransientError)
    assert len(server.inbox.taken) == 1


def test_a_server_that_is_not_there_took_nothing() -> None:
    transport = SmtpTransport(Smtp(host="localhost", port=free_port(), security="none"), Login)

    with pytest.raises(TransientError, match="could not be reached"):
        transport.send(MESSAGE)


def test_messages_go_out_encrypted_and_after_the_login(tls_server: Server, certificate: Path) -> None:
    trusting = ssl.create_default_context(cafile=str(certificate))

    tls_server.transport(Login("shop", "secret"), trusting, security="starttls").send(MESSAGE)

    assert len(tls_server.inbox.taken) == 1


@pytest.mark.parametrize(
    ("password", "trusts", "security", "match"),
    [
        ("wrong", True, "starttls", "login"),
        ("secret", False, "starttls", "certificate"),
        ("secret", True, "none", "lacks"),
    ],
)
def test_a_wrong_login_certificate_or_setting_stops_the_campaign(
    tls_server: Server, certificate: Path, password: str, trusts: bool, security: str, match: str
) -> None:
    context = ssl.create_default_context(cafile=str(certificate)) if trusts else None
    transport = tls_server.transport(Login("shop", password), context, security=security)

    with pytest.raises(ContractError, match=match):
        transport.send(MESSAGE)

    assert tls_server.inbox.taken == []


def test_the_rate_is_the_campaigns_and_the_answer_comes_before_the_deadline(server: Server) -> None:
    quota = server.transport(max_per_second=3).quota()

    assert (quota.max_per_second, quota.max_per_day) == (3, -1)
    assert BUDGET_S < MARGIN_S


@pytest.mark.parametrize("rate", [20.0, 1_000.0])
def test_a_shard_is_mailed_once_over_smtp_whatever_happens_on_the_way(server: Server, rate: float) -> None:
    inbox = server.inbox
    inbox.refusals["user3@example.com"] = "550 gone"
    mailing = Mailing([recipient(number) for number in range(40)], transport=server.transport(max_per_second=rate))
    inbox.hang_up_at = "answer"  # of the first message: taken, and nobody is told

    manifest, _ = mailing.send()
    again, skipped = mailing.send()

    assert max(inbox.deliveries().values()) == 1
    assert len(inbox.deliveries()) == 39
    assert (manifest.summary["sent"], manifest.summary["rejected"], manifest.summary["in_doubt"]) == (38, 1, 1)
    assert (again.summary["sent"], again.summary["in_doubt"], skipped) == (38, 1, False)
    read = email.message_from_bytes(inbox.taken[-1][2], policy=policy.default)
    assert read["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
