"""A Postfix and a Dovecot of a test's own: own folder, own ports, loopback only, never the system's.

Postfix takes mail for patients.example.org into Maildirs, refuses unknown users at RCPT (on one port only later, by a
report to the sender), and sends nothing anywhere else. Dovecot knows the password, and shows over IMAP what comes back
to bounce.example.org and to the clinic's desk. Needs Debian's `postfix`, `dovecot-imapd` and root, as Postfix does.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import trustme

from tests.support.processes import free_port, kill_pid, wait_for

USER, PASSWORD = "clinic", "a password"
#: Postfix's own programs, none of them in a chroot: name, type, wake-up, process limit.
_SERVICES = (
    ("pickup", "unix", "60", "1"),
    ("cleanup", "unix", "-", "0"),
    ("qmgr", "unix", "300", "1"),
    ("tlsmgr", "unix", "1000?", "1"),
    ("rewrite", "unix", "-", "-"),
    ("bounce", "unix", "-", "0"),
    ("defer", "unix", "-", "0"),
    ("trace", "unix", "-", "0"),
    ("verify", "unix", "-", "1"),
    ("flush", "unix", "1000?", "0"),
    ("proxymap", "unix", "-", "-"),
    ("smtp", "unix", "-", "-"),
    ("error", "unix", "-", "-"),
    ("retry", "unix", "-", "-"),
    ("discard", "unix", "-", "-"),
    ("virtual", "unix", "-", "-"),
    ("anvil", "unix", "-", "1"),
    ("scache", "unix", "-", "1"),
    ("showq", "unix", "-", "-"),
    ("postlog", "unix-dgram", "-", "1"),
)
#: Programs that serve under another name, and those that need root or may be reached by everybody.
_PROGRAM = {"rewrite": "trivial-rewrite", "defer": "bounce", "trace": "bounce", "retry": "error", "postlog": "postlogd"}
_OPEN = frozenset({"pickup", "cleanup", "qmgr", "flush", "showq", "postlog"})
_AS_ROOT = frozenset({"virtual"})


@dataclass(frozen=True)
class Postfix:
    """plain: port without TLS. secure: STARTTLS and a password are required. ca_file: who signed its certificate.

    late: port without TLS that takes mail for unknown users too, and sends it back. imaps: Dovecot's port.
    """

    folder: Path
    plain: int
    secure: int
    late: int
    imaps: int
    ca_file: Path

    def mailbox(self, name: str) -> list[bytes]:
        """The messages of NAME@patients.example.org as they lie in its Maildir, in the order of arrival."""
        files = (self.folder / "mail/patients.example.org" / name / "new").glob("*")
        return [path.read_bytes() for path in sorted(files, key=lambda path: path.stat().st_mtime_ns)]

    def returned(self) -> list[str]:
        """Names of the messages that came back, with their flags once they were looked at."""
        box = self.folder / "mail/bounce.example.org/returned"
        return sorted(path.name for part in ("new", "cur") for path in (box / part).glob("*"))

    def log(self) -> str:
        return (self.folder / "log/maillog").read_text("utf-8", "replace")


@contextmanager
def postfix(names: tuple[str, ...]) -> Iterator[Postfix]:
    """A running Postfix with a mailbox for each of `names` at patients.example.org; stopped and removed at the end."""
    # Not in a test's own folder: its users must be able to walk there, and names of sockets are short.
    with tempfile.TemporaryDirectory(prefix="aftercare-mta-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with _running(folder, names) as running:
            yield running


@contextmanager
def _running(folder: Path, names: tuple[str, ...]) -> Iterator[Postfix]:
    for program in ("postfix", "postmap", "dovecot"):
        assert shutil.which(program), f"this run needs {program} (Debian: apt-get install postfix dovecot-core)"
    assert os.geteuid() == 0, "Postfix starts only as root"
    for part in ("etc", "spool", "data", "mail", "log", "dovecot"):
        (folder / part).mkdir()
        (folder / part).chmod(0o755)
    running = Postfix(folder, free_port(), free_port(), free_port(), free_port(), folder / "ca.pem")
    _certificates(folder)
    _configure(running, names)
    dovecot = ["dovecot", "-F", "-c", str(folder / "dovecot/dovecot.conf")]
    with (folder / "log/out").open("wb") as out:
        # Their output goes to a file: a daemon that keeps a pipe open would keep its reader waiting.
        login = subprocess.Popen(dovecot, stdout=out, stderr=out, stdin=subprocess.DEVNULL, umask=0o022)
        try:
            wait_for((folder / "dovecot/auth").exists, f"Dovecot: {folder}/log/dovecot", 20)
            _postfix(folder, "start", out.fileno())
            try:
                ports = (running.plain, running.secure, running.late, running.imaps)
                wait_for(lambda: all(map(_listens, ports)), "Postfix and Dovecot", 20)
                yield running
            finally:
                _stop(folder, out.fileno())
        finally:
            login.send_signal(signal.SIGTERM)
            login.wait(20)


def _postfix(folder: Path, verb: str, out: int) -> None:
    command = ["postfix", "-c", str(folder / "etc"), verb]
    subprocess.run(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, timeout=30, check=True, umask=0o022)


def _stop(folder: Path, out: int) -> None:
    master = int((folder / "spool/pid/master.pid").read_text())
    with suppress(subprocess.SubprocessError):
        _postfix(folder, "stop", out)
    kill_pid(master)


def _listens(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def _certificates(folder: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    authority.issue_cert("127.0.0.1", "localhost").private_key_and_cert_chain_pem.write_to_path(folder / "tls.pem")


def _configure(running: Postfix, names: tuple[str, ...]) -> None:
    folder, etc = running.folder, running.folder / "etc"
    (etc / "main.cf").write_text(_MAIN.format(folder=folder))
    services = [
        f"{name} {kind} {'n' if name in _OPEN else '-'} {'n' if name in _AS_ROOT else '-'} n {wake} {limit} "
        f"{_PROGRAM.get(name, name)}"
        for name, kind, wake, limit in _SERVICES
    ]
    (etc / "master.cf").write_text(
        "\n".join(services)
        + f"""
127.0.0.1:{running.plain} inet n - n - - smtpd
127.0.0.1:{running.late} inet n - n - - smtpd
  -o smtpd_reject_unlisted_recipient=no
127.0.0.1:{running.secure} inet n - n - - smtpd
  -o smtpd_tls_security_level=encrypt
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_client_restrictions=permit_sasl_authenticated,reject
"""
    )
    boxes = "".join(f"{name}@patients.example.org patients.example.org/{name}/\n" for name in names)
    back = ("@bounce.example.org", "desk@northgate-clinic.org")
    boxes += "".join(f"{name} bounce.example.org/returned/\n" for name in back)
    (etc / "boxes").write_text(boxes)
    subprocess.run(["postmap", "-c", str(etc), f"hash:{etc}/boxes"], timeout=30, check=True, umask=0o022)
    (folder / "dovecot/dovecot.conf").write_text(_DOVECOT.format(folder=folder, imaps=running.imaps))
    (folder / "dovecot/passwd").write_text(f"{USER}:{{PLAIN}}{PASSWORD}\n")
    for path in (folder / "tls.pem", folder / "ca.pem", *etc.iterdir(), *(folder / "dovecot").iterdir()):
        path.chmod(0o644)
    for part in ("data", "mail"):
        shutil.chown(folder / part, "postfix")


_MAIN = """compatibility_level = 3.6
queue_directory = {folder}/spool
data_directory = {folder}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
myhostname = mx.clinic.test
mydestination =
alias_maps =
inet_interfaces = loopback-only
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
default_transport = error:5.1.2 this relay never leaves loopback
relay_transport = error:5.1.2 no relay
local_transport = error:no local mail
smtp_dns_support_level = disabled
virtual_mailbox_domains = patients.example.org, bounce.example.org, northgate-clinic.org
virtual_mailbox_base = {folder}/mail
virtual_mailbox_maps = hash:{folder}/etc/boxes
virtual_uid_maps = static:102
virtual_gid_maps = static:109
virtual_minimum_uid = 100
smtpd_recipient_restrictions = permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination
smtpd_data_restrictions = reject_unauth_pipelining
smtpd_tls_cert_file = {folder}/tls.pem
smtpd_tls_key_file = {folder}/tls.pem
smtpd_tls_security_level = may
smtpd_sasl_type = dovecot
smtpd_sasl_path = {folder}/dovecot/auth
smtpd_tls_auth_only = yes
maillog_file = {folder}/log/maillog
maillog_file_prefixes = {folder}
import_environment = MAIL_CONFIG
"""

_DOVECOT = """base_dir = {folder}/dovecot/run
state_dir = {folder}/dovecot/state
log_path = {folder}/log/dovecot
protocols = imap
listen = 127.0.0.1
ssl = required
ssl_cert = <{folder}/tls.pem
ssl_key = <{folder}/tls.pem
first_valid_uid = 100
mail_location = maildir:{folder}/mail/bounce.example.org/returned
default_internal_user = dovecot
default_login_user = dovenull
passdb {{
  driver = passwd-file
  args = {folder}/dovecot/passwd
}}
userdb {{
  driver = static
  args = uid=postfix gid=postfix home={folder}/mail
}}
service imap-login {{
  inet_listener imap {{
    port = 0
  }}
  inet_listener imaps {{
    port = {imaps}
    ssl = yes
  }}
}}
service auth {{
  unix_listener {folder}/dovecot/auth {{
    mode = 0660
    user = postfix
    group = postfix
  }}
}}
"""
