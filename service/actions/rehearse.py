"""What correcting a treatment would do: done for real in a transaction that is then taken back."""

from __future__ import annotations

from service.actions.register import NewTreatment, Planned
from service.actions.revise import Who, correct_treatment
from service.store.clinics import Clinic
from service.store.engine import Store


def rehearse_correction(store: Store, clinic: Clinic, treatment_id: int, given: NewTreatment, who: Who) -> Planned:
    """The plan as it would stand, and the steps that keep theirs; nothing of it stays. Raises as the real one does."""
    with store.write() as connection:
        planned = correct_treatment(connection, clinic, treatment_id, given, who)
        connection.rollback()
    return planned
