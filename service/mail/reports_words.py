"""What mail systems and vacation programs say, as patterns; all but AWAY and COPY find a phrase anywhere.

Every repetition is bounded, so that no text takes longer than its length.
"""

from __future__ import annotations

import re


def _any(*phrases: str, after: str = "") -> re.Pattern[str]:
    return re.compile(f"{after}(?:{'|'.join(phrases)})", re.IGNORECASE | re.MULTILINE)


#: Nobody says this of an address that is there.
UNKNOWN_USER = _any(
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
OTHER_TROUBLE = _any(
    r"\bspam",
    r"blocked|\bbl[ao]c[ck]-?\s?list|reputation|polic(?:y|ies)\b",
    r"quota|\bfull\b|insufficient|storage|too (?:many|large|big|busy)",
    r"rate limit|gr[ae]y-?list|try (?:again|later)|temporar|defer",
    r"\bdmarc\b|\bspf\b|\bdkim\b|\bptr\b|reverse dns",
    r"virus|malware|content reject",
    r"relay(?:ing)? (?:access )?denied|access denied|not authori[sz]ed",
    r"timed? ?out|connection refused",
)
#: It is we who are not liked.
OUR_SIDE = _any(
    r"sender(?:['’]s)? (?:address|domain|verif|reject|unknown|not\b|is\b|does\b)",
    r"\breturn[- ]path|from address|\bmail from\b",
)
#: Something was not delivered.
FAILURE = _any(
    r"undeliver|not (?:be )?delivered|non?-?delivery|wasn['’]t delivered",
    r"could(?: not|n['’]t) be (?:delivered|sent)|unable to (?:deliver|send)",
    r"(?:delivery|mail|message|transmission)(?: status)? (?:has )?(?:fail|notif|report|problem|error|delay|could)",
    r"delivery (?:to the following|of the following|incomplete)",
    r"return(?:ed|ing) (?:mail|message|to sender|e-?mail)",
    r"fail(?:ure|ed) (?:notice|delivery|permanently)|mail system error|message status|still being retried",
    r"(?:mail|message)(?: \S{1,60})? (?:was )?(?:rejected|bounced|blocked|delayed)",
    r"unzustellbar|nicht (?:zugestellt|zustellbar)",
    r"non remis|échec|impossible de (?:remettre|livrer)",
    r"no se (?:pudo|puede|ha podido) (?:entregar|enviar)|no entregado",
    r"mancata consegna|niet (?:bezorgd|afgeleverd)|kunne ikke leveres",
    r"не доставлено|недоставленн|配信(?:不能|できません)|无法投递|退信",
)
#: Somebody is still trying.
DELAY = _any(
    r"delayed|delivery incomplete|not yet been|temporar(?:y|ily)|warning: could not send",
    r"will (?:be retried|retry|keep trying|continue to|try again)|still (?:being|trying|in the queue)",
    r"no action is required|do not need to resend",
)
#: Nobody is any more.
FINAL = _any(r"permanent|giv(?:en|ing) up|gave up|fatal|undeliverable|will not be retried|too long|(?<![\d.])55\d[\s-]")
#: How the subjects of vacation programs begin.
AWAY = _any(
    r"auto(?:matic|mated|matische)?[\s-]?(?:repl(?:y|ies)|response|respond|antwort|svar)",
    r"out[\s-]of[\s-](?:the[\s-])?office|vacation (?:reply|message)",
    r"abwesenheit|réponse automatique|absence du bureau|respuesta automática|fuera de (?:la )?oficina",
    r"risposta automatica|fuori sede|resposta automática|automatisch antwoord|afwezigheid",
    r"autosvar|frånvaro|fravær|automaattinen vastaus|automatyczna odpowiedź|автоответ",
    r"自動(?:返信|応答)|自动(?:回复|答复)",
    after=r"\A(?:(?:re|aw|sv|antw)\s?: ?)?\[?",
)
#: Below a line that begins so stands the copy of the returned e-mail.
COPY = _any(
    r"-{2,}[- ]*(?:below this line is a copy|(?:this is )?a copy of (?:the|your) message|included is a copy)",
    r"-{2,}[- ]*(?:original message|forwarded message|returned message|unsent message|enclosed is a copy)",
    r"-{2,}[- ]*(?:the header of the original|message headers? follows?|the body of the message)",
    r"unsent message below|(?:the )?original message (?:headers|follows)",
    r"return-path: |received: (?:from|by) ",
    after="^",
)
