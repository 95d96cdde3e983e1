"""What the technician knows about a treatment: the pigment's lot and a note. For the clinic; in no e-mail."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain.persons import clean_line

#: Characters.
LOT_LIMIT, NOTE_LIMIT = 60, 500


@dataclass(frozen=True)
class Remarks:
    """lot: of the pigment, as its label says. note: one line of the technician's own. "": none."""

    lot: str = ""
    note: str = ""


NO_REMARKS = Remarks()
#: The fields, and how many characters each may have.
LIMITS = {"lot": LOT_LIMIT, "note": NOTE_LIMIT}


def clean_remark(name: str, raw: str) -> str:
    """One of the fields as it is stored, "" for nothing but white space. Raises BadInput for `name`."""
    return clean_line(name, raw, LIMITS[name]) if raw.strip() else ""


def clean_remarks(given: Remarks) -> Remarks:
    """Both as they are stored. Raises BadInput naming the field."""
    return Remarks(clean_remark("lot", given.lot), clean_remark("note", given.note))
