"""The report as one self-contained page, and its figures as files. `farm.report` fills it from a ledger.

content              the content as records: headlines, tables, figures, disagreements
drawing              settings of matplotlib, colours, labels, figures as files
figures              the figures, each drawn from a small frame
svg                  a figure of matplotlib as SVG with the page's own colours
annotator_chapter    the chapter of annotators
study_chapter        the chapter of a study
chapters             the chapters of training, reward models, costs, provenance
disagreements        the pairs on which people and simulated judges differ most
page                 the report as HTML
"""
