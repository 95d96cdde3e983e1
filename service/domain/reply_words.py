"""What mail servers say in words: that nobody has an address, or that something else is wrong.

The worst error is to take an address for dead that is not. Every repetition is bounded, so that no text takes longer
than its length.
"""

from __future__ import annotations

import re

#: Only these say that the address itself cannot work.
ADDRESS_IS_DEAD = frozenset({"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1"})
_CODES = re.compile(r"(?<![\d.])[245]\.\d{1,3}\.\d{1,3}(?!\.?\d)")
_REPLY = re.compile(r"(?<![\d.])([245])\d\d(?=[\s-])")
_REPLY_IS_TEMPORARY = re.compile(r"(?<![\d.])4\d\d(?=[\s-]{1,3}(?:4\.|\D))")


def phrases(*some: str, after: str = "") -> re.Pattern[str]:
    """One pattern for any of them, in any case. after: what must stand before."""
    return re.compile(f"{after}(?:{'|'.join(some)})", re.IGNORECASE | re.MULTILINE)


#: Nobody says this of an address that is there.
UNKNOWN_USER = phrases(
    r"(?:user|recipient|mailbox|address|account)s? (?:name )?(?:is |was )?unknown\b",
    r"unknown (?:or illegal )?(?:user|recipient|local[ -]part|mailbox|alias|address|account)",
    r"no such (?:user|recipient|mailbox|address|person|account|local user)",
    r"(?:mailbox|user|recipient|address|account|inbox)(?: \S{1,100}){0,2}? (?:does not|doesn['’]t|do not) exist",
    r"tried to reach does not exist",
    r"no (?:mailbox|user) (?:here )?(?:by|with) that name",
    r"not a (?:known|valid) (?:user|mailbox)",
    r"(?:user|mailbox|recipient|account) (?:was )?not found",
    r"wasn['’]t found at ",
    r"(?:address|mailbox|recipient)(?: you entered)? (?:could not|couldn['’]t|cannot) be found",
    r"recipientnotfound",
    r"doesn['’]t have an? \S{1,100} account",
    r"invalid (?:recipient|mailbox)",
    r"not listed in domino",
    r"(?:destinataire|utilisateur|adresse) (?:est )?inconnue?\b",
    r"n['’]existe pas",
    r"(?:empfänger|benutzer|adresse) (?:ist )?unbekannt",
    r"(?:usuario|destinatario|buzón) (?:desconocido|no existe)",
)
#: What has to do with anything but whether the address is there.
OTHER_TROUBLE = phrases(
    r"\bspam|unsolicited|\bbulk\b",
    r"blocked|\bip\b.{0,40}\blisted|\bbl[ao]c[ck]-?\s?list|reputation|polic(?:y|ies)\b",
    r"quota|\bfull\b|insufficient|storage|too (?:many|large|big|busy)|exceed",
    r"\bover (?:\w{1,20} ){0,3}(?:size|limit)",
    r"\bvoll\b|überschritten|\bpleine?\b|dépass|\bllen[oa]\b|excedid",
    r"rate limit|at a rate|gr[ae]y-?list|try (?:again|later)|temporar|defer",
    r"currently|later\b|später|plus tard|más tarde",
    r"(?:service|server|system|host) (?:is )?unavailable",
    r"\bdmarc\b|\bspf\b|\bdkim\b|\bptr\b|reverse dns",
    r"virus|malware|content reject|preferences",
    r"relay(?:ing)? (?:access )?denied|access denied|not authori[sz]ed",
    r"timed? ?out|connection refused",
)
#: Somebody may not write there: then somebody is there, or nobody says whether.
NOT_PERMITTED = phrases(
    r"permission|not (?:be )?(?:allowed|permitted)|\bautori[sz]|berechtig|\bpermiso",
    r"only (?:members|subscribers|authenticated|internal)|restricted",
)
#: It is we who are not liked.
OUR_SIDE = phrases(
    r"sender(?:['’]s)? (?:address|domain|verif|reject|unknown|not\b|is\b|does\b)",
    r"\bsender ?[:=]|\breturn[- ]path|from address|\bmail from\b",
)
#: The relay refuses everybody whom we write to: it does not like this machine, this account or its quota.
REFUSES_US = phrases(
    r"client host (?:rejected|\S{1,100} blocked)|helo command rejected|not accepted from this ip",
    r"(?:sending|daily|hourly|message|recipient) (?:quota|limit) (?:was |has been |is )?(?:exceeded|reached)",
    r"(?:permissions?|not (?:allowed|authori[sz]ed|permitted)) to send (?:as|mail|messages?|e-?mails?)",
)
_QUOTED = phrases(r"host \S{1,255} said|remote server (?:returned|said)|said: ")


def unknown_user(text: str) -> bool:
    """Whether words say clearly that there is nobody of this address, and nothing else besides."""
    against = (_REPLY_IS_TEMPORARY, OTHER_TROUBLE, NOT_PERMITTED, OUR_SIDE)
    return bool(UNKNOWN_USER.search(text)) and not any(pattern.search(text) for pattern in against)


def codes(text: str) -> list[str]:
    """Enhanced status codes (RFC 3463) anywhere in a text."""
    return _CODES.findall(text)


def contradicted(words: str) -> bool:
    """Whether the words beside a status that says "no such address" speak of something else."""
    reply = _REPLY.search(words[:100])
    if reply is not None and reply[1] != "5":
        return True
    if OUR_SIDE.search(words) or NOT_PERMITTED.search(words):
        return True
    found = codes(words)
    if found and found[0] not in ADDRESS_IS_DEAD:
        return True
    return bool(OTHER_TROUBLE.search(words)) and not UNKNOWN_USER.search(words)


def refuses_us(text: str) -> bool:
    """Whether the relay speaks of us, not of whom we write to, and in its own words, not in another server's."""
    return bool(REFUSES_US.search(text)) and not _QUOTED.search(text)
