"""Pages for staff and ops, and the health routes. Start at app.py."""
