"""Returned messages to try the intake with, in the plainest form of their standards."""

from __future__ import annotations

ENVELOPE = "bounce.example.org"


def delivery_report(local_part: str, message_id: str = "<abc@example.org>", **fields: str) -> bytes:
    """A report by RFC 3464 to an envelope address. fields: to, action, status, words."""
    said = {"to": "sam@example.com", "action": "failed", "status": "5.1.1", "words": "smtp; 550 user unknown"} | fields
    return f"""\
Return-Path: <>
From: MAILER-DAEMON@example.com
To: {local_part}@{ENVELOPE}
Subject: Undelivered Mail Returned to Sender
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.com

Final-Recipient: rfc822; {said["to"]}
Action: {said["action"]}
Status: {said["status"]}
Diagnostic-Code: {said["words"]}

--b
Content-Type: text/rfc822-headers

Message-ID: {message_id}
To: {said["to"]}

--b--
""".encode()


def complaint(local_part: str, message_id: str = "<abc@example.org>") -> bytes:
    """A complaint by RFC 5965."""
    return f"""\
From: fbl@example.net
To: {local_part}@{ENVELOPE}
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="b"

--b
Content-Type: message/feedback-report

Feedback-Type: abuse
Version: 1
Original-Rcpt-To: sam@example.com

--b
Content-Type: text/rfc822-headers

Message-ID: {message_id}
To: sam@example.com

--b--
""".encode()


def letter(to: str, subject: str, text: str = "", **headers: str) -> bytes:
    """A plain letter from sam@example.com. headers: with _ for -."""
    more = "".join(f"{name.replace('_', '-')}: {value}\n" for name, value in headers.items())
    return f"From: Sam Reed <sam@example.com>\nTo: {to}\nSubject: {subject}\n{more}\n{text}\n".encode()
