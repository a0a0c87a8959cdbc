"""What the commands are told: classes whose fields are flags, a file for each command that has one.

They stand apart from the commands' own modules, which load torch, pandas or SQLAlchemy: so `--help`, shell
completion and a wrong flag take tenths of a second. Task and Provider of judging stand in farm/judging.
Beside the files with a command's name:

calibrate    which pool follows whom: `farm annotators calibrate`
"""
