"""The options of commands: classes whose fields become flags, a file for each command that has one.

They stand apart from the commands' own modules, which load torch, pandas or SQLAlchemy. So `--help`, shell
completion and a wrong flag take tenths of a second. Task and Provider of judging stand in farm/judging.
Beside the files with a command's name:

align        which judge is aligned to whom: `farm annotators align`
imitate      who is imitated by which judge: `farm annotators imitate`
calibrate    which pool is fitted to whom: `farm annotators calibrate`
rounds       rounds of drawing, judging and learning: `farm train --rounds`
"""
