"""`aftercare demo`: twelve days of a made-up clinic in seconds, told in plain words, then an inbox page to look at.

Real delivery over real SMTP into the built-in catcher, in a folder of its own that is thrown away. Refuses to read
the environment's settings, so it can never reach a real relay. Read scenario.py first: who, when, what.
"""

from __future__ import annotations

from service.demo.running import run

__all__ = ["run"]
