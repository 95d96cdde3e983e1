"""Our exceptions, drawn once. Expected trouble with one e-mail is a value (domain/replies.py), not an exception.

AftercareError            carries what a person needs: what is wrong, in which field, what to do
├── BadInput              a value somebody typed or sent is wrong            exit 2
│   ├── BadProtocol       a protocol file; field names the key
│   └── BadText           an e-mail source; field names file and line
├── BadConfiguration      a setting, the database or a file around us        exit 2
├── NotFound              nothing of that id in this clinic                  exit 1
├── NotAllowed            a rule says no: state, approval, role              exit 1
└── Unavailable           relay, database or file did not do its part        exit 1
"""

from __future__ import annotations


class AftercareError(Exception):
    """Something a person can mend.

    code: stable word for programs. field: the option, column or key at fault. next_step: one sentence.
    """

    exit_status = 1
    code = "failed"

    def __init__(self, message: str, *, field: str | None = None, next_step: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.next_step = next_step

    def as_document(self) -> dict[str, dict[str, str | None]]:
        """The error as interface JSON: {"error": {code, message, field, next_step}}."""
        return {"error": {"code": self.code, "message": self.message, "field": self.field, "next_step": self.next_step}}


class BadInput(AftercareError):
    exit_status = 2
    code = "bad_input"


class BadProtocol(BadInput):
    code = "bad_protocol"


class BadText(BadInput):
    code = "bad_text"


class BadConfiguration(AftercareError):
    exit_status = 2
    code = "bad_configuration"


class NotFound(AftercareError):
    code = "not_found"


class NotAllowed(AftercareError):
    code = "not_allowed"


class Unavailable(AftercareError):
    code = "unavailable"
