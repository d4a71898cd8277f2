#!/usr/bin/python3
"""A mail server for tests, by Debian's aiosmtpd: STARTTLS and a login are needed, and each mail becomes one line of JSON.

Usage: server.py CERTIFICATE KEY USER PASSWORD

Prints the port it listens on, then a line for each mail, as Python's own mail parser reads it. The first mail of all is put
off (451), and a recipient called `gone` is unknown (550).
"""

import asyncio
import email
import email.policy
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult


def say(value):
    print(value, flush=True)


class Mails:
    def __init__(self):
        self.seen = 0

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("gone@"):
            return "550 5.1.1 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 ok"

    async def handle_DATA(self, server, session, envelope):
        self.seen += 1
        if self.seen == 1:
            return "451 4.3.0 not yet"
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        parts = {part.get_content_type(): part.get_content() for part in mail.walk() if not part.is_multipart()}
        say(json.dumps({
            "sealed": session.ssl is not None,
            "user": session.auth_data.login.decode(),
            "sender": envelope.mail_from,
            "recipients": envelope.rcpt_tos,
            "from": str(mail["From"]),
            "subject": str(mail["Subject"]),
            "id": str(mail["Message-ID"]),
            "answers": mail["In-Reply-To"] and str(mail["In-Reply-To"]),
            "automatic": str(mail["Auto-Submitted"]),
            "defects": [str(defect) for defect in mail.defects],
            "text": parts.get("text/plain"),
            "html": parts.get("text/html"),
        }))
        return "250 2.0.0 queued"


async def main(certificate, key, user, password):
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)

    def authenticator(server, session, envelope, mechanism, data):
        good = (data.login.decode(), data.password.decode()) == (user, password)
        return AuthResult(success=good, handled=good, auth_data=data)

    mails = Mails()

    def connection():
        return SMTP(
            mails,
            hostname="relay.test",
            enable_SMTPUTF8=True,
            tls_context=tls,
            require_starttls=True,
            authenticator=authenticator,
            auth_required=True,
        )

    server = await asyncio.get_running_loop().create_server(connection, "127.0.0.1", 0)
    say(server.sockets[0].getsockname()[1])
    await server.serve_forever()


asyncio.run(main(*sys.argv[1:]))
