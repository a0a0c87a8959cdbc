"""What a command shows a person on a terminal.

common               tables, progress, and foreign text made harmless
annotate             what was judged and paid, on a terminal
annotators           the catalogue of annotators on a terminal
audit                an audit on a terminal, and as a CSV file that a spreadsheet cannot be made to run
backup               a copy of the ledger on a terminal
browse               the address of the page on a terminal
calibrate            a calibration on a terminal
doctor               what works and what does not, on a terminal
evaluate             the evaluation of one model on a terminal, in percent
export               an exported file on a terminal
import_              what an import read, kept and refused, on a terminal
label                what people did at the labelling page, on a terminal
leaderboard          a leaderboard on a terminal, in percent
merge                what a merge added, on a terminal
over_optimisation    curves of over-optimisation on a terminal
pair                 new pairs on a terminal
people               what a judge is beside people, rankings and over-optimisation curves, on a terminal
quickstart           what a finished study shows a person on a terminal
report               written pages and figures on a terminal
robustness           the robustness audit on a terminal
sample               what `farm sample` and `farm pair` show a person on a terminal
serve_simulator      the simulated provider on a terminal
snapshot             a snapshot on a terminal
status               what a ledger holds, on a terminal
trace                a trace as a tree on a terminal
train                a run and the options of its method on a terminal
validate             what a finished validation found
world                what `farm world` shows a person on a terminal
"""
