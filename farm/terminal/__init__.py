"""What a command shows a person on a terminal: a file for each command, under its name.

Beside them:

common       tables, progress, and foreign text made harmless
calibrate    the view of `farm annotators calibrate`
"""
