"""What a command shows a person on a terminal: a file for each command, under its name.

Beside them:

common       tables, and foreign text made harmless
audit_parts  parts of an audit that a flag asks for
progress     how far the work is
align        the view of `farm annotators align`
imitate      the view of `farm annotators imitate`
people_plan  the view of `farm people plan`: the answer, then the reasoning
calibrate    the view of `farm annotators calibrate`
"""
