"""What the commands are told: classes whose fields are flags, a file for each command that has one.

They stand apart from the commands' own modules, which load torch, pandas or SQLAlchemy: so `--help`, shell
completion and a wrong flag take tenths of a second. Task and Provider of judging stand in farm/judging.

sample               which outputs are drawn
pair                 which outputs meet
annotate             who judges, and whether it is only planned
snapshot             which judgements are frozen
label                who judges in the browser
train                what a run starts from
audit                which annotators are measured, against whom
robustness           which attacks are tried
people               which judgements an estimate about people counts
leaderboard          whose judgements rank the models
evaluate             which model meets which reference
calibrate            which pool follows whom
validate             which studies are compared
quickstart           the size and seed of the whole study
report               what the page is about
import_              what files are, where they do not say it
"""
