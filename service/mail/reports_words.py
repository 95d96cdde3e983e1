"""What mail systems and vacation programs say, as patterns; all but AWAY and COPY find a phrase anywhere.

Every repetition is bounded, so that no text takes longer than its length.
"""

from __future__ import annotations

from service.domain.reply_words import phrases

#: Something was not delivered.
FAILURE = phrases(
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
DELAY = phrases(
    r"delayed|delivery incomplete|not yet been|temporar(?:y|ily)|warning: could not send",
    r"will (?:be retried|retry|keep trying|continue to|try again)|still (?:being|trying|in the queue)",
    r"no action is required|do not need to resend",
)
#: Nobody is any more.
FINAL = phrases(
    r"permanent|giv(?:en|ing) up|gave up|fatal|undeliverable|will not be retried|too long|(?<![\d.])55\d[\s-]"
)
#: How the subjects of vacation programs begin.
AWAY = phrases(
    r"auto(?:matic|mated|matische)?[\s-]?(?:repl(?:y|ies)|response|respond|antwort|svar)",
    r"out[\s-]of[\s-](?:the[\s-])?office|vacation (?:reply|message)",
    r"abwesenheit|réponse automatique|absence du bureau|respuesta automática|fuera de (?:la )?oficina",
    r"risposta automatica|fuori sede|resposta automática|automatisch antwoord|afwezigheid",
    r"autosvar|frånvaro|fravær|automaattinen vastaus|automatyczna odpowiedź|автоответ",
    r"自動(?:返信|応答)|自动(?:回复|答复)",
    after=r"\A(?:(?:re|aw|sv|antw)\s?: ?)?\[?",
)
#: Below a line that begins so stands the copy of the returned e-mail.
COPY = phrases(
    r"-{2,}[- ]*(?:below this line is a copy|(?:this is )?a copy of (?:the|your) message|included is a copy)",
    r"-{2,}[- ]*(?:original message|forwarded message|returned message|unsent message|enclosed is a copy)",
    r"-{2,}[- ]*(?:the header of the original|message headers? follows?|the body of the message)",
    r"unsent message below|(?:the )?original message (?:headers|follows)",
    r"return-path: |received: (?:from|by) ",
    after="^",
)
