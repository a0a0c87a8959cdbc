"""The report as one self-contained page, and its figures as files. `farm.report` fills it from a ledger.

content              what a report says: headlines, tables, figures, disagreements
drawing              how every figure is drawn: settings, colours, labels
figures              the figures, each drawn from a small frame that goes with it
svg                  a figure of matplotlib as SVG with the page's own colours
annotator_chapter    the chapter of annotators
study_chapter        the chapter of a study
chapters             training, reward models, costs, provenance
disagreements        the pairs on which people and simulated judges differ most
page                 the report as HTML
"""
