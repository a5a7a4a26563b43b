"""MailTransport over SMTP: a message in; handed to a mail server that queues it (RFC 5321, 6409), its Message-ID out.

For shops without SES. Such a server says nothing of what becomes of a message later: bounces go to the sender's inbox,
and a message in doubt stays in doubt.
"""

import re
import smtplib
import ssl
import time
from collections import deque
from collections.abc import Callable
from typing import Final

import msgspec

from shortlist.config import Smtp
from shortlist.errors import ContractError, MessageRejectedError, TransientError
from shortlist.ports import OutgoingMessage, SendQuota

BUDGET_S: Final = 25.0
"""For one message from connection to last answer, shorter than shortlist.mail.delivery.MARGIN_S."""
_GO_AHEAD: Final = 354
_MESSAGE_ID: Final = re.compile(rb"^Message-ID: <([^>]+)>\r$", re.MULTILINE)


class Login(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of the mail server; without a user name none is made."""

    username: str = ""
    password: str = ""


class SmtpTransport:
    """A mail server. Connections are kept and used again, by whichever thread sends next.

    Args:
        login: asked for at each new connection.
        context: of TLS; None trusts what the system trusts.
    """

    def __init__(self, server: Smtp, login: Callable[[], Login], context: ssl.SSLContext | None = None) -> None:
        self._server = server
        self._login = login
        self._context = context
        self._idle: deque[smtplib.SMTP] = deque()

    def send(self, message: OutgoingMessage) -> str:
        deadline = time.monotonic() + BUDGET_S
        found = _MESSAGE_ID.search(message.mime)
        if found is None:
            raise ContractError("a message without a Message-ID cannot be sent.")
        connection = self._opened(message.sender.rpartition("<")[2].rstrip(">"), deadline)
        try:
            _take(connection, message, deadline)
        except Exception:
            connection.close()
            raise
        self._idle.append(connection)
        return found[1].decode()

    def quota(self) -> SendQuota:
        """The campaign's own rate: a server does not tell its limits before they are passed."""
        return SendQuota(max_per_second=self._server.max_per_second, max_per_day=-1, sent_last_day=0)

    def close(self) -> None:
        """Close the connections that nobody uses at the moment."""
        while self._idle:
            self._idle.pop().close()

    def _opened(self, sender: str, deadline: float) -> smtplib.SMTP:
        """A connection that has taken the sender: one that is kept, or a new one where the server closed those."""
        while self._idle:
            kept = self._idle.pop()
            try:
                return _with_sender(kept, sender, deadline)
            except (OSError, smtplib.SMTPException, TransientError):
                kept.close()
        fresh = self._connect(deadline)
        try:
            return _with_sender(fresh, sender, deadline)
        except (OSError, smtplib.SMTPException) as error:
            fresh.close()
            raise TransientError(f"the mail server closed the connection ({type(error).__name__}).") from error
        except (ContractError, TransientError):
            fresh.close()
            raise

    def _connect(self, deadline: float) -> smtplib.SMTP:
        where = f"the mail server {self._server.host}:{self._server.port}"
        try:
            return self._greeted(deadline)
        except ssl.SSLError as error:
            raise ContractError(f"{where}: its certificate or TLS version is not accepted ({error.reason}).") from error
        except (smtplib.SMTPNotSupportedError, smtplib.SMTPHeloError) as error:
            raise ContractError(f"{where} lacks what `mail.smtp` asks of it ({type(error).__name__}).") from error
        except smtplib.SMTPResponseException as error:
            raise _refused(error.smtp_code, f"{where} refuses the connection or the login") from error
        except (OSError, smtplib.SMTPException) as error:
            raise TransientError(f"{where} could not be reached ({type(error).__name__}).") from error

    def _greeted(self, deadline: float) -> smtplib.SMTP:
        """A new connection, encrypted and logged in as the campaign wants it."""
        server, left = self._server, _left(deadline)
        context = self._context or ssl.create_default_context()
        if server.security == "tls":
            connection: smtplib.SMTP = smtplib.SMTP_SSL(server.host, server.port, timeout=left, context=context)
        else:
            connection = smtplib.SMTP(server.host, server.port, timeout=left)
        try:
            if server.security == "starttls":
                connection.starttls(context=context)
            login = self._login()
            if login.username:
                connection.login(login.username, login.password)
        except BaseException:
            connection.close()
            raise
        return connection


def _with_sender(connection: smtplib.SMTP, sender: str, deadline: float) -> smtplib.SMTP:
    _patience(connection, deadline)
    connection.ehlo_or_helo_if_needed()
    code, _ = connection.mail(sender)
    if not _is_good(code):
        raise _refused(code, f"the mail server refuses the sender {sender}")
    return connection


def _take(connection: smtplib.SMTP, message: OutgoingMessage, deadline: float) -> None:
    """Hand over recipient and content. Until the server has asked for the content, nothing is taken for certain.

    Raises:
        TransientError, MessageRejectedError: not taken.
        OSError, SMTPServerDisconnected: no answer after the content: perhaps taken.
    """
    _patience(connection, deadline)
    try:
        code, _ = connection.rcpt(message.recipient)
        if _is_good(code):
            code, _ = connection.docmd("DATA")
    except (OSError, smtplib.SMTPException) as error:
        raise TransientError(f"the mail server closed the connection ({type(error).__name__}).") from error
    if code != _GO_AHEAD:
        raise _refused(code, "the mail server refuses the message", for_good=MessageRejectedError)
    _patience(connection, deadline)
    content = re.sub(rb"(?m)^\.", b"..", message.mime)
    connection.send((content if content.endswith(b"\r\n") else content + b"\r\n") + b".\r\n")
    code, _ = connection.getreply()
    if not _is_good(code):
        raise _refused(code, "the mail server refuses the content", for_good=MessageRejectedError)


def _is_good(code: int) -> bool:
    return 200 <= code < 300


def _refused(
    code: int, what: str, *, for_good: type[MessageRejectedError | ContractError] = ContractError
) -> Exception:
    """A refusal by its code: 5xx is for good, anything else for now. The server's text may name the recipient."""
    if 500 <= code < 600:
        return for_good(f"{what}: it answered {code}.")
    return TransientError(f"{what} for now: it answered {code}.")


def _patience(connection: smtplib.SMTP, deadline: float) -> None:
    if connection.sock is not None:
        connection.sock.settimeout(_left(deadline))


def _left(deadline: float) -> float:
    return max(0.1, deadline - time.monotonic())
