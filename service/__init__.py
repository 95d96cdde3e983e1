"""Aftercare: a registered treatment becomes e-mails on the right days, or a phone call.

    web   cli   daemon        doors: parse, call one action, answer
          wiring              builds everything once
          actions             verbs; own the transactions
       store     mail         SQL | everything between a row and an SMTP server; they never know each other
          domain              the rules: pure functions over values, `now` is an argument

Read first: domain/schedule.py (when), domain/reminder.py (the life of an e-mail), actions/deliver.py (a tick).
"""
