"""The desk: pages for staff. Every page is a row of rights.py, answered through the one door of door.py."""
