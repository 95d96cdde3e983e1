"""The doctor: everything around the program."""

from __future__ import annotations

import click

from service.cli.options import json_option, settings_for
from service.cli.output import example, print_document, print_table, say


@click.command("doctor", epilog=example("aftercare doctor", "aftercare doctor --json"))
@json_option
def doctor_command(json_: bool) -> int:
    """Look at everything around the program: disk, database, clock, relay, words, watchers. Exit 1 if one is red."""
    from service.wiring.doctor import examine

    found = examine(settings_for(None))
    ok = not any(one.state == "red" for one in found)
    items = [
        {"name": one.name, "state": one.state, "message": one.message, "next_step": one.next_step or None}
        for one in found
    ]
    if json_:
        print_document({"ok": ok, "items": items})
    else:
        print_table(items, {"state": "state", "name": "what", "message": "found"}, "")
        for one in found:
            if one.next_step:
                say(f"{one.name}: {one.next_step}")
    return 0 if ok else 1
